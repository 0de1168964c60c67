"""How long what people did about failed messages is remembered, and counts kept short. Nothing ends in silence."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import structlog
from sqlalchemy import text

from broker._actions import Asker, begin
from broker._clock import clock
from broker._crash_points import CrashPoint
from broker._database import Database
from broker._dead_letters import Filter, find
from broker._loop import Loop
from broker._settings import Settings
from broker._tables import action, discarded_message

log = structlog.get_logger("nilecare.backbone")

POLICY = Asker("policy", "older than dead_letter_retention")

SCATTERED = text(
    """
    SELECT EXISTS (SELECT FROM backbone.failure_count GROUP BY subscription, state, fingerprint HAVING count(*) > 1)
    """
)

FOLD = text(
    """
    WITH scattered AS (
             SELECT subscription, state, fingerprint FROM backbone.failure_count GROUP BY 1, 2, 3 HAVING count(*) > 1
         ),
         gone AS (
             DELETE FROM backbone.failure_count kept USING scattered
             WHERE (kept.subscription, kept.state, kept.fingerprint)
                   = (scattered.subscription, scattered.state, scattered.fingerprint)
             RETURNING kept.*
         )
    INSERT INTO backbone.failure_count
    SELECT subscription, state, fingerprint, sum(by) FROM gone GROUP BY 1, 2, 3 HAVING sum(by) <> 0
    """
)
"""Adds up the differences of each group. What comes meanwhile is another row."""


class Housekeeping(Loop):
    """Adds up counts, and lets go of what was kept long enough: see `discarded_retention` and its neighbours in Settings."""

    def __init__(
        self, database: Database, service: str, settings: Settings, began: Callable[[], None], *, interval: float = 10.0
    ) -> None:
        super().__init__(f"{service}.housekeeping", interval=interval)
        self._database, self._service, self._settings, self._began = database, service, settings, began

    async def run_once(self) -> bool:
        """One round; False, since nothing is left then."""
        async with self._database.lent() as session:
            if await session.scalar(SCATTERED):
                await session.execute(FOLD)
                await session.settle(CrashPoint.HOUSEKEEPING_DONE)
        await self._forget()
        if self._settings.dead_letter_retention is not None:
            await self._expire(self._settings.dead_letter_retention)
        return False

    async def _forget(self) -> None:
        now, settings = clock.now(), self._settings
        discarded = discarded_message.delete().where(discarded_message.c.discarded_at < now - settings.discarded_retention)
        actions = action.delete().where(action.c.ended_at < now - settings.history_retention)
        async with self._database.lent() as session:
            gone = {}
            for what, statement in (("discarded_messages", discarded), ("actions", actions)):
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
