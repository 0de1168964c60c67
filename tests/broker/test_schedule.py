"""Schedules: what is due by business time goes to the outbox, once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from broker import EventTooLarge, ForeignEvent, clock, schedule, unschedule
from broker._context import Cause, caused_by, uuid7
from broker._database import Database, engine_for
from broker._schedule import Scheduler, next_due
from broker.testing.scratch import Databases
from contracts.event import Event


class BillOverdue(Event, name="bill.overdue", version=1, key="bill_id", publisher="office"):
    """A bill's due date passed."""

    bill_id: UUID
    note: str = ""


@pytest.fixture
async def office(database: Databases) -> AsyncIterator[Database]:
    """The publisher's database."""
    engine = engine_for(await database())
    yield Database(engine, "office")
    await engine.dispose()


async def in_outbox(database: Database) -> list[str]:
    """The keys in the outbox, in its order."""
    async with database.engine.connect() as connection:
        return list((await connection.execute(text("SELECT key FROM backbone.outbox ORDER BY position"))).scalars())


async def plan(database: Database, name: str, *, days: float, event: BillOverdue | None = None) -> BillOverdue:
    """Schedules an event for so many days from now."""
    event = event or BillOverdue(bill_id=uuid7())
    async with database.transaction() as session:
        await schedule(session, event, at=clock.now() + timedelta(days=days), name=name)
    return event


async def test_due_by_business_time(office: Database) -> None:
    """An event stays until business time reaches it, and then leaves in the order of the due times."""
    later, sooner = await plan(office, "b", days=3), await plan(office, "a", days=2)
    scheduler = Scheduler(office)
    await scheduler.run_once()
    assert await in_outbox(office) == []
    clock.shift = timedelta(days=4)
    await scheduler.run_once()
    assert await in_outbox(office) == [sooner.subject, later.subject]
    async with office.transaction() as session:
        assert await next_due(session) is None


async def test_two_schedulers(office: Database) -> None:
    """Several schedulers at once promote each event exactly once."""
    for number in range(30):
        await plan(office, f"n{number}", days=-1)
    await asyncio.gather(*(Scheduler(office).run_once() for _ in range(4)))
    keys = await in_outbox(office)
    assert len(keys) == len(set(keys)) == 30


async def test_unschedule_in_time(office: Database) -> None:
    """Taking an event back says whether it was in time; what was taken back never leaves."""
    await plan(office, "mine", days=1)
    async with office.transaction() as session:
        assert await unschedule(session, "mine")
        assert not await unschedule(session, "mine")
    clock.shift = timedelta(days=2)
    await Scheduler(office).run_once()
    assert await in_outbox(office) == []


async def test_unschedule_too_late(office: Database) -> None:
    """Taking back what has left already says so."""
    await plan(office, "mine", days=-1)
    await Scheduler(office).run_once()
    async with office.transaction() as session:
        assert not await unschedule(session, "mine")


async def test_rescheduled(office: Database) -> None:
    """A name stands for one event: the later word replaces the earlier one."""
    await plan(office, "mine", days=-1)
    kept = await plan(office, "mine", days=-2)
    await Scheduler(office).run_once()
    assert await in_outbox(office) == [kept.subject]


async def test_rolled_back(office: Database) -> None:
    """What a rolled back transaction scheduled is not scheduled."""
    with pytest.raises(ZeroDivisionError):
        async with office.transaction() as session:
            await schedule(session, BillOverdue(bill_id=uuid7()), at=datetime.now(UTC), name="never")
            _ = 1 / 0
    await Scheduler(office).run_once()
    assert await in_outbox(office) == []


async def test_keeps_its_flow(office: Database) -> None:
    """The event belongs to the flow that scheduled it, and its relay is woken."""
    woken = asyncio.Event()
    office.on_publish = woken.set
    cause = Cause(flow=uuid7(), message=uuid7(), trace="00-trace")
    with caused_by(cause):
        await plan(office, "mine", days=-1)
    await Scheduler(office).run_once()
    assert woken.is_set()
    async with office.engine.connect() as connection:
        row = (await connection.execute(text("SELECT flow, cause, trace, sequence = position FROM backbone.outbox"))).one()
    assert tuple(row) == (cause.flow, cause.message, cause.trace, True)


async def test_refused(office: Database) -> None:
    """Another service's event, too large a body and a time without a zone are refused when they are scheduled."""
    event = BillOverdue(bill_id=uuid7())
    async with Database(office.engine, "kitchen").transaction() as session:
        with pytest.raises(ForeignEvent):
            await schedule(session, event, at=clock.now(), name="x")
    async with office.transaction() as session:
        with pytest.raises(EventTooLarge):
            await schedule(session, BillOverdue(bill_id=uuid7(), note="x" * 300_000), at=clock.now(), name="x")
        with pytest.raises(ValueError, match="time zone"):
            await schedule(session, event, at=datetime(2030, 1, 1), name="x")
