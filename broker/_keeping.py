"""How long what people did about failed messages is remembered, and looks at replicas; counts and words are kept short.

Nothing ends in silence.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Column, Delete, Insert, Select, Table, func, select, tuple_

from broker._actions import Asker, begin
from broker._clock import clock
from broker._crash_points import CrashPoint
from broker._database import Database
from broker._dead_letters import Filter, find
from broker._loop import Loop
from broker._settings import Settings
from broker._tables import action, discarded_message, failure_count, replica_run, wording_count
from broker._words import AT_ONCE, CHANGED, sum_up

log = structlog.get_logger("nilecare.backbone")

POLICY = Asker("policy", "older than dead_letter_retention")

COUNTS = (failure_count, wording_count)
"""Where a row is a difference: what is of one kind is added up."""


class Housekeeping(Loop):
    """Adds up counts, sums up words, and lets go of what was kept long enough.

    See `discarded_retention` and its neighbours in Settings.
    """

    def __init__(
        self, database: Database, service: str, settings: Settings, began: Callable[[], None], *, interval: float = 10.0
    ) -> None:
        super().__init__(f"{service}.housekeeping", interval=interval)
        self._database, self._service, self._settings, self._began = database, service, settings, began

    async def run_once(self) -> bool:
        """One round; False, since nothing is left then that cannot wait."""
        async with self._database.lent() as session:
            scattered = [counts for counts in COUNTS if await session.scalar(select(_scattered(counts).exists()))]
            for counts in scattered:
                await session.execute(_fold(counts))
            if scattered:
                await session.settle(CrashPoint.HOUSEKEEPING_DONE)
        await self._sum_up()
        await self._forget()
        if self._settings.dead_letter_retention is not None:
            await self._expire(self._settings.dead_letter_retention)
        return False

    async def _sum_up(self) -> None:
        changed = await self._database.glance(CHANGED)
        for first in range(0, len(changed), AT_ONCE):
            if self.stopping:
                return
            async with self._database.lent() as session:
                await sum_up(session, changed[first : first + AT_ONCE])
                await session.settle(CrashPoint.HOUSEKEEPING_DONE)

    async def _forget(self) -> None:
        now, settings = clock.now(), self._settings
        discarded = discarded_message.delete().where(discarded_message.c.discarded_at < now - settings.discarded_retention)
        actions = action.delete().where(action.c.ended_at < now - settings.history_retention)
        checks = _superseded_checks(now - settings.history_retention)
        async with self._database.lent() as session:
            gone = {}
            for what, statement in (("discarded_messages", discarded), ("actions", actions), ("replica_checks", checks)):
                gone[what] = len((await session.execute(statement.returning(*statement.table.primary_key))).all())
            if any(gone.values()):
                await session.settle(CrashPoint.HOUSEKEEPING_DONE)
        for what, count in gone.items():
            if count:
                log.info("history.forgotten", service=self._service, what=what, count=count)

    async def _expire(self, retention: timedelta) -> None:
        old = Filter(states=("dead",), until=clock.now() - retention)
        async with self._database.lent() as session:
            if not await find(session, old, limit=1):
                return
            expired = await begin(session, "expire", old, POLICY)
            await session.settle(CrashPoint.DEAD_LETTERS_EXPIRED)
        log.warning("dead_letters.expired", service=self._service, count=expired.total, action=str(expired.id))
        self._began()


def _superseded_checks(before: datetime) -> Delete:
    """Checks of replicas that ended before, with what they found; the last run of each replica stays, and each fill."""
    later = replica_run.alias("later")
    same = (later.c.replica == replica_run.c.replica, later.c.owner == replica_run.c.owner)
    is_superseded = select(later.c.id).where(*same, later.c.began_at > replica_run.c.began_at).exists()
    return replica_run.delete().where(replica_run.c.purpose == "check", replica_run.c.ended_at < before, is_superseded)


def _kind(counts: Table) -> list[Column[Any]]:
    """What makes a kind: all but the difference."""
    return [column for column in counts.c if column is not counts.c.by]


def _scattered(counts: Table) -> Select[Any]:
    """The kinds that are of several rows."""
    return select(*_kind(counts)).group_by(*_kind(counts)).having(func.count() > 1)


def _fold(counts: Table) -> Insert:
    """Adds up the differences of each kind. What comes meanwhile is another row."""
    kind, several = _kind(counts), _scattered(counts).cte("several")
    gone = counts.delete().where(tuple_(*kind) == tuple_(*several.c)).returning(*counts.c).cte("gone")
    total, summed = func.sum(gone.c.by), [gone.c[column.name] for column in kind]
    return counts.insert().from_select([*counts.c], select(*summed, total).group_by(*summed).having(total != 0))
