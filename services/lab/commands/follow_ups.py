"""How an order follows from what happened to its tests, and which further tests follow from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock, publish
from contracts.lab import LabOrderCancelled, LabOrderCompleted, LabOrderPlaced, OrderedTest
from services.lab import rules
from services.lab.commands.orderable import is_sampled_again
from services.lab.tables import LabOrder, LabResult, LabTest, OrderLine, ReflexTest, Sample


def announce(session: AsyncSession, order: LabOrder) -> LabOrder:
    """The order is placed: everybody hears of it. Raises OrderCannotBecome."""
    order.become("ordered")
    publish(session, LabOrderPlaced.of(order, tests=_ordered(order, "pending")))
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
        end_cancelled(session, order, reason or "no test is left", announced=True)


def end_cancelled(session: AsyncSession, order: LabOrder, reason: str, *, announced: bool) -> None:
    """Notes why an order was given up, and says so where its placing was said."""
    order.reason, order.cancelled_at = reason, clock.now()
    if announced:
        publish(session, LabOrderCancelled.of(order))


async def recollect(session: AsyncSession, order: LabOrder, sample: Sample) -> LabOrder | None:
    """Moves the tests of a rejected sample to a new order, which is given back.

    Where no other sample is taken the tests are given up, and None is given. Raises OrderCannotBecome, NotYet.
    """
    rules.check_recollectable(order.status)
    rejected = [line for line in order.lines if line.sample_id == sample.sample_id]
    goes_on = await is_sampled_again(session, order)
    for line in rejected:
        line.status = "recollected" if goes_on else "cancelled"
    if not goes_on:
        return None
    moved = lines((line.test_code, line.test_name, line.reflex_of) for line in rejected)
    return announce(session, _further_order(session, order, moved, recollects=order.order_id))


async def add_reflex_tests(session: AsyncSession, order: LabOrder, result: LabResult) -> None:
    """What a result asks to be tested further is added to its order, on the same sample, once.

    An order that is over takes no further test: a correction places a new one, if another sample may be taken. Tests that are
    no longer offered are left out. Raises NotYet.
    """
    further = await _further_tests(session, order, result)
    if not further:
        return
    added = lines(((test.code, test.name, result.result_id) for test in further), after=len(order.lines))
    if order.status in rules.OPEN_ORDERS:
        for line in added:
            line.sample_id = result.sample_id
        order.lines.extend(added)
    elif await is_sampled_again(session, order):
        announce(session, _further_order(session, order, added))


def lines(tests: Iterable[tuple[str, str, UUID | None]], *, after: int = 0) -> list[OrderLine]:
    """The lines for tests: code, name, and the result that asked for it."""
    return [
        OrderLine(position=position, test_code=code, test_name=name, reflex_of=reflex_of, status="pending")
        for position, (code, name, reflex_of) in enumerate(tests, start=after)
    ]


async def _further_tests(session: AsyncSession, order: LabOrder, result: LabResult) -> Sequence[LabTest]:
    query = select(ReflexTest, LabTest).join(LabTest, LabTest.code == ReflexTest.further_test)
    reflexes = await session.execute(query.where(ReflexTest.test_code == result.test_code, LabTest.active))
    asked = {test.code: test for reflex, test in reflexes if rules.asks_for_more(reflex, flag=result.flag, value=result.value)}
    known = {line.test_code for line in order.lines}
    if asked.keys() - known:
        before = select(OrderLine.test_code).where(OrderLine.reflex_of == result.result_id)
        known |= set(await session.scalars(before))
    return [test for code, test in sorted(asked.items()) if code not in known]


def _further_order(
    session: AsyncSession, order: LabOrder, tests: list[OrderLine], *, recollects: UUID | None = None
) -> LabOrder:
    further = LabOrder(
        order_id=uuid4(),
        patient_id=order.patient_id,
        recorded_for=order.recorded_for,
        facility_id=order.facility_id,
        encounter_id=order.encounter_id,
        status="draft",
        priority=order.priority,
        recollects=recollects,
        ordered_by=order.ordered_by,
        placed_at=clock.now(),
        lines=tests,
    )
    session.add(further)
    return further


def _ordered(order: LabOrder, status: rules.TestStatus) -> tuple[OrderedTest, ...]:
    return tuple(OrderedTest(code=line.test_code, name=line.test_name) for line in order.lines if line.status == status)
