"""What the lab can be asked to do with orders."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from broker import NotYet, clock
from contracts.lab import Priority
from services.lab import rules
from services.lab.commands.catalogue import offered_tests
from services.lab.commands.follow_ups import announce, end_cancelled, lines
from services.lab.commands.orderable import check_duplicates, check_orderable
from services.lab.commands.work import working_on
from services.lab.replicas import EncounterReference, PatientReference
from services.lab.tables import LabOrder


async def place_order(
    session: AsyncSession,
    *,
    patient_id: UUID,
    tests: Sequence[str],
    priority: Priority = "routine",
    encounter_id: UUID | None = None,
    order_id: UUID | None = None,
    ordered_by: UUID | None = None,
    duplicate_reason: str | None = None,
    at: datetime | None = None,
) -> LabOrder:
    """Orders tests (LOINC codes) for a patient. duplicate_reason: why a test is ordered again within its window.

    Raises NotYet, FacilityIsNotActive, PatientIsDeceased, EncounterIsOver, EncounterIsOfAnotherPatient, DuplicateOrder,
    TestIsNotOffered, OrderNamesATestTwice, TimeIsInTheFuture.
    """
    order = await draft_order(
        session,
        patient_id=patient_id,
        tests=tests,
        priority=priority,
        encounter_id=encounter_id,
        order_id=order_id,
        ordered_by=ordered_by,
        duplicate_reason=duplicate_reason,
        at=at,
    )
    await check_duplicates(session, order)
    return announce(session, order)


async def draft_order(
    session: AsyncSession,
    *,
    patient_id: UUID,
    tests: Sequence[str],
    priority: Priority = "routine",
    encounter_id: UUID | None = None,
    order_id: UUID | None = None,
    ordered_by: UUID | None = None,
    duplicate_reason: str | None = None,
    at: datetime | None = None,
) -> LabOrder:
    """Prepares an order, of which nobody hears until it is sent. Raises what `place_order` raises but DuplicateOrder."""
    patient = await PatientReference.current(session, patient_id)
    offered = await offered_tests(session, tests)
    order = LabOrder(
        order_id=order_id or uuid4(),
        patient_id=patient.id,
        recorded_for=patient_id,
        facility_id=patient.facility_id,
        encounter_id=encounter_id,
        status="draft",
        priority=priority,
        ordered_by=ordered_by,
        duplicate_reason=duplicate_reason,
        placed_at=rules.check_happened(at or clock.now(), clock.now()),
        lines=lines((test.code, test.name, None) for test in offered),
    )
    await check_orderable(session, order)
    session.add(order)
    return order


async def send_order(session: AsyncSession, order_id: UUID) -> LabOrder:
    """Places an order that was a draft. Raises NotFound, OrderCannotBecome, and what `place_order` raises but about tests."""
    order = await working_on(session, order_id)
    rules.ORDER.moved(order.status, "ordered")
    order.placed_at = clock.now()
    await check_orderable(session, order)
    await check_duplicates(session, order)
    return announce(session, order)


async def hold_order(session: AsyncSession, order_id: UUID, *, reason: str) -> LabOrder:
    """Nothing more happens to an order until it is resumed. Raises NotFound, OrderCannotBecome."""
    order = await working_on(session, order_id)
    before = order.status
    order.become("on_hold")
    order.held_from, order.reason = before, reason
    return order


async def resume_order(session: AsyncSession, order_id: UUID) -> LabOrder:
    """Goes on with an order that was on hold, from where it was. Raises NotFound, OrderCannotBecome."""
    order = await working_on(session, order_id)
    order.status = rules.order_resumed(order.status, order.held_from)
    order.held_from = order.reason = None
    return order


async def cancel_order(session: AsyncSession, order_id: UUID, *, reason: str) -> LabOrder:
    """Gives an order up. Raises NotFound, OrderCannotBecome, OrderHasResultsAlready."""
    order = await working_on(session, order_id)
    rules.check_cancellable(order.tests)
    was_placed = order.status != "draft"
    order.become("cancelled")
    for line in order.lines:
        line.status = "cancelled"
    end_cancelled(session, order, reason, announced=was_placed)
    return order


async def cancel_orders_of_encounter(session: AsyncSession, encounter_id: UUID, *, reason: str) -> None:
    """Gives up the open orders of an encounter that does not take place; those with results go on.

    Raises NotYet while the encounter's reference would still let an order be placed.
    """
    encounter = await EncounterReference.require(session, encounter_id)
    if encounter.status not in rules.ENDED_ENCOUNTERS:
        raise NotYet(EncounterReference, encounter_id)
    for order in await _open(session, LabOrder.encounter_id == encounter_id):
        if "resulted" not in order.tests:
            await cancel_order(session, order.order_id, reason=reason)


async def cancel_orders_without_sample(session: AsyncSession, patient_id: UUID, *, reason: str) -> None:
    """Gives up the orders of a patient of whom no sample can be taken any more; those that have one go on.

    Raises NotYet while the patient's reference would still let an order be placed.
    """
    patient = await PatientReference.require(session, patient_id)
    if patient.status in rules.TREATED:
        raise NotYet(PatientReference, patient_id)
    theirs = LabOrder.recorded_for.in_(await PatientReference.identities(session, patient_id))
    for order in await _open(session, theirs):
        if not order.is_sampled:
            await cancel_order(session, order.order_id, reason=reason)


async def _open(session: AsyncSession, these: ColumnElement[bool]) -> Sequence[LabOrder]:
    query = select(LabOrder).where(these, LabOrder.status.in_(rules.OPEN_ORDERS)).order_by(LabOrder.order_id)
    return (await session.scalars(query.with_for_update().execution_options(populate_existing=True))).all()


async def repoint_orders(session: AsyncSession, patient_id: UUID, *, into_patient_id: UUID) -> None:
    """The open orders of a merged patient become those of the one that lives on. Raises NotYet.

    An order that a command was placing meanwhile follows when something next happens to it: see `working_on`.
    """
    await _repoint(session, patient_id, to=(await PatientReference.current(session, into_patient_id)).id)


async def give_orders_back(session: AsyncSession, patient_id: UUID) -> None:
    """A merge was taken back: the open orders for the patient, or for whom was merged into them, are theirs again."""
    await _repoint(session, patient_id, to=patient_id)


async def _repoint(session: AsyncSession, patient_id: UUID, *, to: UUID) -> None:
    recorded_for = await PatientReference.identities(session, patient_id)
    open_ = update(LabOrder).where(LabOrder.recorded_for.in_(recorded_for), LabOrder.status.in_(rules.OPEN_ORDERS))
    await session.execute(open_.values(patient_id=to))
