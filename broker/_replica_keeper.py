"""Replicas look after themselves: each fills itself, again when its columns change or it is wiped, and is checked now and then.

What a check confirms to differ is repaired, logged and published: nobody has to ask for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import structlog
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from broker._clock import clock
from broker._copied import own_columns
from broker._crash_points import CrashPoint
from broker._database import Database
from broker._loop import Loop
from broker._publishing import lock_number
from broker._replica_runs import Place, Purpose, begin
from broker._tables import replica_run

log = structlog.get_logger("nilecare.replicas")

ITSELF = "the replica itself"
"""Who asks for these runs."""


class ReplicaKeeper(Loop):
    """Begins what is due for a service's replicas, one run of each at a time. Every copy of the service may run it.

    check_every: how long after the end of the last run over all keys a replica is checked again; None is never.
    """

    def __init__(
        self, database: Database, places: Sequence[Place], *, check_every: timedelta | None, interval: float = 30.0
    ) -> None:
        super().__init__("replicas", interval=interval)
        self._database, self._check_every = database, check_every
        self._places = [place for place in places if place.is_fillable]

    async def run_once(self) -> bool:
        """One round; False, since what it begins goes on by itself."""
        async with self._database.lent() as session:
            if await session.scalar(select(func.pg_try_advisory_xact_lock(lock_number("replicas")))):
                due = [(place, purpose) for place in self._places if (purpose := await self._due(session, place)) is not None]
                for place, purpose in due:
                    await begin(session, place, purpose, ITSELF)
                    log.info(f"replica.{purpose}_began", replica=place.queue)
                if due:
                    await session.settle(CrashPoint.REPLICA_RUN_BEGUN)
        return False

    async def _due(self, session: AsyncSession, place: Place) -> Purpose | None:
        mine = select(replica_run).where(replica_run.c.replica == place.name).order_by(replica_run.c.began_at.desc()).limit(1)
        last = (await session.execute(mine)).one_or_none()
        if last is None:
            return "fill"
        if last.state == "running":
            return None
        is_old = self._check_every is not None and last.ended_at < clock.now() - self._check_every
        filled = (
            await session.execute(mine.where(replica_run.c.purpose == "fill", replica_run.c.state == "done"))
        ).one_or_none()
        if filled is None:
            return "fill" if is_old else None
        if sorted(filled.columns) != sorted(own_columns(place.table)) or await _is_wiped(session, place, last.rows):
            return "fill"
        return "repair" if is_old else None


async def _is_wiped(session: AsyncSession, place: Place, had: int) -> bool:
    """Whether a replica that had rows has none at all, not even of what was deleted."""
    return bool(had) and not await session.scalar(text(f"SELECT EXISTS (SELECT FROM {place.name})"))  # noqa: S608 (declared)
