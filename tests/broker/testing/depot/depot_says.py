"""What the depot publishes."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from contracts.event import Event


class PalletStored(Event, name="pallet.stored", version=1, key="pallet_id", publisher="depot"):
    """It has its place."""

    pallet_id: UUID
    delivery_id: UUID
    brought_at: datetime


class PalletGone(Event, name="pallet.gone", version=1, key="pallet_id", publisher="depot"):
    """Its place is free."""

    pallet_id: UUID
