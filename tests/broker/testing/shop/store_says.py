"""What the store publishes."""

from __future__ import annotations

from uuid import UUID

from contracts.event import Event


class ParcelPacked(Event, name="parcel.packed", version=1, key="order_id", publisher="store"):
    """It is ready to go."""

    order_id: UUID
    article: str


class ParcelOverdue(Event, name="parcel.overdue", version=1, key="order_id", publisher="store"):
    """Nobody has fetched it in a month."""

    order_id: UUID


class ParcelHandedOver(Event, name="parcel.handed_over", version=1, key="order_id", publisher="store"):
    """The courier has it."""

    order_id: UUID
