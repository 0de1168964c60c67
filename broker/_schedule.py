"""Events that become due: they wait in a table of their own and go to the outbox when business time has come."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, exists, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from broker import _tables
from broker._clock import clock
from broker._context import current_cause, uuid7
from broker._crash_points import CrashPoint
from broker._database import Database
from broker._erased import fit_to_keep
from broker._loop import Loop
from broker._persons import Bodies
from broker._publishing import INSERT, PUBLISHER, WROTE, body_of, lock_number
from broker.errors import ForeignEvent
from contracts.event import Event

BATCH = 500
SINGLE = text("SELECT pg_try_advisory_xact_lock(:number)")
table = _tables.schedule
IS_DUE = select(exists().where(table.c.due_at <= bindparam("now")))


async def schedule(session: AsyncSession, event: Event, *, at: datetime, name: str) -> None:
    """Publishes `event` when business time reaches `at`, if the transaction of `session` commits.

    name: unique in the service ("invoice 4711 overdue"); an event already scheduled under it is replaced.
    Whether it still matters is for its handler to look at: it may be on its way when `unschedule` is called.
    Raises ForeignEvent, EventTooLarge.
    """
    publisher = session.info.get(PUBLISHER)
    if publisher is not None and not event.contract.belongs_to(publisher):
        raise ForeignEvent(f"{publisher} cannot schedule {event.contract.name}: it belongs to {event.contract.publisher}")
    if at.tzinfo is None:
        raise ValueError("the time of a scheduled event needs a time zone")
    cause = current_cause()
    body, _ = await fit_to_keep(session, Bodies([type(event)]), event.contract.name, event.contract.version, body_of(event))
    values = {
        "due_at": at,
        "type": event.contract.name,
        "key": event.subject,
        "version": event.contract.version,
        "flow": cause.flow,
        "cause": cause.message,
        "trace": cause.trace,
        "body": body,
    }
    statement = insert(table).values(name=name, **values)
    await session.execute(statement.on_conflict_do_update(index_elements=[table.c.name], set_=values))


async def unschedule(session: AsyncSession, name: str) -> bool:
    """Takes back what was scheduled under `name`. False when it was too late, or nothing was."""
    gone = await session.execute(delete(table).where(table.c.name == name).returning(table.c.name))
    return gone.first() is not None


async def next_due(session: AsyncSession) -> datetime | None:
    """When the next scheduled event is due; None when none is scheduled."""
    due_at: datetime | None = await session.scalar(select(func.min(table.c.due_at)))
    return due_at


class Scheduler(Loop):
    """Moves what is due into the outbox: each exactly once, in the order of the due times, however many run."""

    def __init__(self, database: Database, *, interval: float = 0.5) -> None:
        super().__init__("scheduler", interval=interval)
        self.database = database

    async def run_once(self) -> bool:
        """Promotes one batch of due events; True when there may be more."""
        if not any(await self.database.glance(IS_DUE, {"now": clock.now()})):
            return False
        async with self.database.lent() as session:
            # One at a time per database; the other would only wait for the same rows.
            if not await session.scalar(SINGLE, {"number": lock_number("scheduler")}):
                return False
            due = select(table.c.name).where(table.c.due_at <= clock.now()).order_by(table.c.due_at, table.c.name)
            names = due.limit(BATCH).with_for_update()
            rows = (await session.execute(delete(table).where(table.c.name.in_(names)).returning(table))).all()
            rows = sorted(rows, key=lambda row: (row.due_at, row.name))
            if rows:
                await session.execute(INSERT, _outgoing(rows))
                session.sync_session.info[WROTE] = True
                await session.settle(CrashPoint.SCHEDULE_PROMOTED)
        return len(rows) == BATCH


def _outgoing(rows: list[Any]) -> dict[str, list[Any]]:
    now = clock.now()
    return {
        "locks": [lock_number("outbox", row.key) for row in rows],
        "ids": [uuid7() for _ in rows],
        "types": [row.type for row in rows],
        "keys": [row.key for row in rows],
        "versions": [row.version for row in rows],
        "sequences": [None for _ in rows],
        "flows": [row.flow for row in rows],
        "causes": [row.cause for row in rows],
        "traces": [row.trace for row in rows],
        "times": [now for _ in rows],
        "bodies": [row.body for row in rows],
    }
