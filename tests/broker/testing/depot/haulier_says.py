"""What the haulier publishes."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from contracts.event import Event, StateEvent


class LorryChanged(StateEvent, name="lorry.changed", version=1, key="lorry_id", publisher="haulier"):
    """What drives."""

    lorry_id: UUID
    plate: str


class PalletBrought(Event, name="pallet.brought", version=1, key="delivery_id", publisher="haulier"):
    """It is at the gate."""

    delivery_id: UUID
    lorry_id: UUID
    brought_at: datetime


class PalletFetched(Event, name="pallet.fetched", version=1, key="pallet_id", publisher="haulier"):
    """It is on its way again."""

    pallet_id: UUID
