"""Whether something can be ordered now: facility, patient and encounter allow it, and it was not ordered just before."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.lab import rules
from services.lab.errors import DuplicateOrder, EncounterIsOfAnotherPatient
from services.lab.replicas import EncounterReference, FacilityReference, PatientReference
from services.lab.tables import LabOrder, LabTest, OrderLine


async def check_orderable(session: AsyncSession, order: LabOrder) -> None:
    """Raises NotYet, FacilityIsNotActive, PatientIsDeceased, EncounterIsOver, EncounterIsOfAnotherPatient."""
    await PatientReference.require(session, order.patient_id)
    # Locked: two orders for one patient come one after the other, so that the later one sees the earlier; and a death is heard
    # either here, or by `cancel_orders_without_sample` after this order is there.
    patient = await PatientReference.locked(session, order.patient_id)
    rules.check_facility((await FacilityReference.require(session, patient.facility_id)).status)
    rules.check_alive(patient.status)
    if order.encounter_id is not None:
        # Held: that it does not take place is heard either here, or by `cancel_orders_of_encounter` after this order is there.
        await EncounterReference.require(session, order.encounter_id)
        encounter = await EncounterReference.held(session, order.encounter_id)
        rules.check_encounter(encounter.status)
        if (await PatientReference.current(session, encounter.patient_id)).id != patient.id:
            raise EncounterIsOfAnotherPatient(order_id=order.order_id)


async def is_sampled_again(session: AsyncSession, order: LabOrder) -> bool:
    """What `rules.is_sampled_again` says of an order that was placed. Raises NotYet."""
    # Held: a death, or that the encounter is called off, is heard either here, or when the order for the sample is there.
    patient = await PatientReference.held(session, order.patient_id)
    if order.encounter_id is None:
        return rules.is_sampled_again(patient.status, None)
    await EncounterReference.require(session, order.encounter_id)
    return rules.is_sampled_again(patient.status, (await EncounterReference.held(session, order.encounter_id)).status)


async def check_duplicates(session: AsyncSession, order: LabOrder) -> None:
    """Whether each test of an orderable order was last ordered long enough ago, or there is a reason. Raises DuplicateOrder."""
    if order.duplicate_reason is not None:
        return
    windows = await _duplicate_windows(session, [line.test_code for line in order.lines])
    for code, hours in windows.items():
        await _check_duplicate(session, order, code, hours)


async def _duplicate_windows(session: AsyncSession, codes: Collection[str]) -> dict[str, int]:
    windowed = select(LabTest.code, LabTest.duplicate_hours).where(LabTest.code.in_(codes))
    return {code: hours for code, hours in await session.execute(windowed) if hours}


async def _check_duplicate(session: AsyncSession, order: LabOrder, code: str, hours: int) -> None:
    others = (
        select(LabOrder.order_id)
        .join(OrderLine, OrderLine.order_id == LabOrder.order_id)
        .where(
            LabOrder.recorded_for.in_(await PatientReference.identities(session, order.patient_id)),
            LabOrder.order_id != order.order_id,
            LabOrder.status != "draft",
            LabOrder.placed_at.between(*rules.duplicate_window(order.placed_at, hours)),
            OrderLine.test_code == code,
            OrderLine.status.in_(("pending", "resulted")),
        )
    )
    earlier = await session.scalar(others.order_by(LabOrder.placed_at.desc()).limit(1))
    if earlier is not None:
        raise DuplicateOrder(test_code=code, order_id=earlier)
