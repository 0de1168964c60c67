"""What the till publishes."""

from __future__ import annotations

from uuid import UUID

from contracts.event import Event, StateEvent


class CustomerChanged(StateEvent, name="customer.changed", version=1, key="customer_id", publisher="till"):
    """Who buys."""

    customer_id: UUID
    name: str


class OrderPlaced(Event, name="order.placed", version=1, key="order_id", publisher="till"):
    """Somebody wants something."""

    order_id: UUID
    customer_id: UUID
    article: str


class OrderCancelled(Event, name="order.cancelled", version=1, key="order_id", publisher="till"):
    """Nobody wants it any more."""

    order_id: UUID
