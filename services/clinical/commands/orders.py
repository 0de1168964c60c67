"""The lab orders that an inpatient may have to wait for, in whatever order their events arrive."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from contracts.lab import LabOrderCancelled, LabOrderCompleted, LabOrderPlaced, LabSampleRejected
from services.clinical.tables import EncounterOrder


async def follow_order(session: AsyncSession, placed: LabOrderPlaced) -> None:
    """An order of an encounter is open, unless its end is known already."""
    await EncounterOrder.told(session, placed.order_id, encounter_id=placed.encounter_id, priority=placed.priority)


async def close_order(session: AsyncSession, ended: LabOrderCancelled | LabOrderCompleted) -> None:
    """Nobody waits for an order any more."""
    at = ended.completed_at if isinstance(ended, LabOrderCompleted) else ended.cancelled_at
    await EncounterOrder.told(session, ended.order_id, closed_at=at)


async def expect_recollection(session: AsyncSession, rejected: LabSampleRejected) -> None:
    """The order for another sample is waited for from now on, so that nobody goes between the end of the one and the other.

    Of an order that was placed before clinical followed them, nothing is known that would have to be waited for.
    """
    first = await session.get(EncounterOrder, rejected.order_id)
    if first is None:
        return
    again = {"encounter_id": first.encounter_id, "priority": first.priority}
    await EncounterOrder.told(session, rejected.recollect_order_id, **again)
