"""Replicas look after themselves: each fills itself, again when its columns change or it is wiped, and is checked now and then.

What a check confirms to differ is repaired, logged and published: nobody has to ask for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import Row, Select, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from broker._clock import clock
from broker._copied import own_columns
from broker._crash_points import CrashPoint
from broker._database import Database
from broker._loop import Loop
from broker._marks import PATIENCE
from broker._publishing import lock_number
from broker._replica_runs import Place, Purpose, ask_again, begin, waits_for
from broker._tables import replica_run

log = structlog.get_logger("nilecare.replicas")

ITSELF = "the replica itself"
"""Who asks for these runs."""

REFUSED = timedelta(hours=1)
"""After this long an owner is asked again that refused to fill, or answered in a version that was not known here."""


class ReplicaKeeper(Loop):
    """Begins what is due for a service's replicas, one run of each place at a time, and sees that it does not stand still.

    Every copy of the service may run it.

    check_every: how long after the end of the last run over all keys a replica is checked again; None is never.
    """

    def __init__(
        self, database: Database, places: Sequence[Place], *, check_every: timedelta | None, interval: float = 30.0
    ) -> None:
        super().__init__("replicas", interval=interval)
        self._database, self._places, self._check_every = database, places, check_every

    async def run_once(self) -> bool:
        """One round; False, since what it begins goes on by itself."""
        async with self._database.lent() as session:
            if await session.scalar(select(func.pg_try_advisory_xact_lock(lock_number("replicas")))):
                done = [await _give_up_gone(session, self._places)]
                done += [await self._look_after(session, place) for place in self._places]
                if any(done):
                    await session.settle(CrashPoint.REPLICA_RUN_BEGUN)
        return False

    async def _look_after(self, session: AsyncSession, place: Place) -> bool:
        """Does what is to be done for a replica; says whether that was anything."""
        last = (await session.execute(_runs_of(place))).one_or_none()
        if last is not None and last.state == "running":
            return await _keep_going(session, place, last)
        has_rows = bool(await session.scalar(select(exists().select_from(place.table).where(place.is_of_owner))))
        purpose = "fill" if last is None else await self._due(session, place, last, is_wiped=not has_rows)
        if purpose is not None:
            await begin(session, place, purpose, ITSELF)
            log.info(f"replica.{purpose}_began", replica=place.title)
            return True
        if has_rows and last is not None and not last.rows and not last.has_grown:
            await session.execute(update(replica_run).where(replica_run.c.id == last.id).values(has_grown=True))
            return True
        return False

    async def _due(self, session: AsyncSession, place: Place, last: Row[Any], *, is_wiped: bool) -> Purpose | None:
        """What is due after the last run. is_wiped: whether there are no rows at all, not even of what was deleted."""
        filled = (
            await session.execute(_runs_of(place).where(replica_run.c.purpose == "fill", replica_run.c.state == "done"))
        ).one_or_none()
        if filled is None:
            return "fill" if last.state == "done" or last.ended_at < clock.now() - REFUSED else None
        if sorted(filled.columns) != sorted(own_columns(place.table)) or (is_wiped and (last.rows or last.has_grown)):
            return "fill"
        is_old = self._check_every is not None and last.ended_at < clock.now() - self._check_every
        return "repair" if is_old else None


async def _give_up_gone(session: AsyncSession, places: Sequence[Place]) -> bool:
    """Gives up runs over what services told that are none any more: nobody will answer. Says whether there were any."""
    told = [place for place in places if place.owner is not None]
    if not told:
        return False
    is_told = replica_run.c.replica.in_({place.name for place in told})
    is_gone = replica_run.c.owner.not_in({place.owner for place in told})
    given_up = {"state": "given_up", "ended_at": clock.now(), "reason": "its owner is no service of the platform any more"}
    running = replica_run.c.state == "running"
    gone = update(replica_run).where(is_told, is_gone, running).values(given_up).returning(replica_run.c.id)
    return bool((await session.scalars(gone)).all())


def _runs_of(place: Place) -> Select[Any]:
    """A replica's last run, or the last one of which more is said. One under way is the last, whatever the clock said then."""
    is_over, began_at = replica_run.c.ended_at.is_not(None), replica_run.c.began_at
    return select(replica_run).where(place.is_run).order_by(is_over, began_at.desc()).limit(1)


async def _keep_going(session: AsyncSession, place: Place, run: Row[Any]) -> bool:
    """Asks again where nothing has come for long; says whether it did. Not where a message failed: the answer would fail again.

    Each time it waits twice as long as before: the owner may be away for days, and finds each question then.
    """
    asked_at = max(run.changed_at, run.asked_again_at or run.changed_at)
    if clock.now() - asked_at < max(PATIENCE, asked_at - run.changed_at):
        return False
    if await waits_for(session, run.id) is not None:
        return False
    await ask_again(session, place, run)
    log.info("replica.asked_again", replica=place.title, purpose=run.purpose)
    return True
