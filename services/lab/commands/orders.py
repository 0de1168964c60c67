"""What the lab can be asked to do with orders."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock, publish
from contracts.lab import (
    LabOrderCancelled,
    LabOrderCompleted,
    LabOrderPlaced,
    OrderedTest,
    Priority,
)
from services.lab import rules
from services.lab.commands.catalogue import offered_tests
from services.lab.replicas import PatientReference
from services.lab.tables import LabOrder, OrderLine, Sample


async def place_order(
    session: AsyncSession,
    *,
    patient_id: UUID,
    tests: Sequence[str],
    priority: Priority = "routine",
    encounter_id: UUID | None = None,
    order_id: UUID | None = None,
    ordered_by: UUID | None = None,
    at: datetime | None = None,
) -> LabOrder:
    """Orders tests (LOINC codes) for a patient. Raises NotYet, TestIsNotOffered, OrderNamesATestTwice, TimeIsInTheFuture."""
    order = await draft_order(
        session,
        patient_id=patient_id,
        tests=tests,
        priority=priority,
        encounter_id=encounter_id,
        order_id=order_id,
        ordered_by=ordered_by,
        at=at,
    )
    return _send(session, order)


async def draft_order(
    session: AsyncSession,
    *,
    patient_id: UUID,
    tests: Sequence[str],
    priority: Priority = "routine",
    encounter_id: UUID | None = None,
    order_id: UUID | None = None,
    ordered_by: UUID | None = None,
    at: datetime | None = None,
) -> LabOrder:
    """Prepares an order, of which nobody hears until it is sent. Raises what `place_order` raises."""
    patient = await PatientReference.current(session, patient_id)
    offered = await offered_tests(session, tests)
    order = LabOrder(
        order_id=order_id or uuid4(),
        patient_id=patient.id,
        facility_id=patient.facility_id,
        encounter_id=encounter_id,
        status="draft",
        priority=priority,
        ordered_by=ordered_by,
        placed_at=rules.check_happened(at or clock.now(), clock.now()),
        lines=_lines([(test.code, test.name) for test in offered]),
    )
    session.add(order)
    return order


async def send_order(session: AsyncSession, order_id: UUID) -> LabOrder:
    """Places an order that was a draft. Raises NotFound, OrderCannotBecome."""
    return _send(session, await working_on(session, order_id))


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
    _end_cancelled(session, order, reason, announce=was_placed)
    return order


async def cancel_orders_of_encounter(session: AsyncSession, encounter_id: UUID, *, reason: str) -> None:
    """Gives up the open orders of an encounter that does not take place; those with results go on."""
    open_ = select(LabOrder).where(LabOrder.encounter_id == encounter_id, LabOrder.status.in_(rules.OPEN_ORDERS))
    for order in await session.scalars(open_.order_by(LabOrder.order_id).with_for_update()):
        if "resulted" not in order.tests:
            await cancel_order(session, order.order_id, reason=reason)


async def repoint_orders(session: AsyncSession, patient_id: UUID, *, into_patient_id: UUID) -> None:
    """The open orders of a merged patient become those of the one that lives on. Raises NotYet.

    An order that a command was placing meanwhile follows when something next happens to it: see `working_on`.
    """
    survivor = await PatientReference.current(session, into_patient_id)
    open_ = update(LabOrder).where(LabOrder.patient_id == patient_id, LabOrder.status.in_(rules.OPEN_ORDERS))
    await session.execute(open_.values(patient_id=survivor.id))


async def working_on(session: AsyncSession, order_id: UUID) -> LabOrder:
    """The order, locked, and its patient as they are now: merges are followed. Raises NotFound."""
    order = await LabOrder.locked(session, order_id)
    order.patient_id = (await PatientReference.current(session, order.patient_id)).id
    return order


def conclude(session: AsyncSession, order: LabOrder, *, reason: str | None = None, at: datetime | None = None) -> None:
    """Lets an order follow its tests, one of which changed, and says so when that ends it. Raises OrderCannotBecome.

    reason: why it is cancelled, if no test is left.
    """
    before, order.status = order.status, rules.order_by_tests(order.status, order.tests)
    if order.status == before:
        return
    if order.status == "completed":
        order.completed_at = at or clock.now()
        publish(session, LabOrderCompleted.of(order, tests=_ordered(order, "resulted")))
    if order.status == "cancelled":
        _end_cancelled(session, order, reason or "no test is left", announce=True)


def recollect(session: AsyncSession, order: LabOrder, sample: Sample) -> LabOrder:
    """Moves the tests of a rejected sample to a new order, which is given back. Raises OrderCannotBecome."""
    rules.check_recollectable(order.status)
    rejected = [line for line in order.lines if line.sample_id == sample.sample_id]
    for line in rejected:
        line.status = "recollected"
    again = LabOrder(
        order_id=uuid4(),
        patient_id=order.patient_id,
        facility_id=order.facility_id,
        encounter_id=order.encounter_id,
        status="draft",
        priority=order.priority,
        recollects=order.order_id,
        ordered_by=order.ordered_by,
        placed_at=clock.now(),
        lines=_lines([(line.test_code, line.test_name) for line in rejected]),
    )
    session.add(again)
    return _send(session, again)


def _send(session: AsyncSession, order: LabOrder) -> LabOrder:
    order.become("ordered")
    publish(session, LabOrderPlaced.of(order, tests=_ordered(order, "pending")))
    return order


def _end_cancelled(session: AsyncSession, order: LabOrder, reason: str, *, announce: bool) -> None:
    order.reason, order.cancelled_at = reason, clock.now()
    if announce:
        publish(session, LabOrderCancelled.of(order))


def _lines(tests: Sequence[tuple[str, str]]) -> list[OrderLine]:
    return [
        OrderLine(position=position, test_code=code, test_name=name, status="pending")
        for position, (code, name) in enumerate(tests)
    ]


def _ordered(order: LabOrder, status: rules.TestStatus) -> tuple[OrderedTest, ...]:
    return tuple(OrderedTest(code=line.test_code, name=line.test_name) for line in order.lines if line.status == status)
