"""What commands begin with: the rows they work on, locked."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.lab.replicas import PatientReference
from services.lab.tables import LabOrder, LabResult


async def working_on(session: AsyncSession, order_id: UUID) -> LabOrder:
    """The order, locked, and its patient as they are now: merges are followed. Raises NotFound."""
    order = await LabOrder.locked(session, order_id)
    order.patient_id = (await PatientReference.current(session, order.recorded_for)).id
    return order


async def working_on_result(session: AsyncSession, result_id: UUID) -> tuple[LabOrder, LabResult]:
    """The result and its order, both locked. Raises NotFound."""
    order = await working_on(session, (await LabResult.seen(session, result_id)).order_id)
    return order, await LabResult.locked(session, result_id)


def of_order(order: LabOrder) -> dict[str, UUID | None]:
    """What events about a result say of its order."""
    return {
        "patient_id": order.patient_id,
        "recorded_for": order.recorded_for,
        "encounter_id": order.encounter_id,
        "ordered_by": order.ordered_by,
    }
