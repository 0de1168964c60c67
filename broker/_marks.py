"""Marks: how a replica that may not be too old knows how old it is at most.

Live states alone cannot tell: an owner that says nothing may be idle or dead. So the replica asks now and then
(`replica.requested` with no keys), and the answer (`replica.states` with no keys) is the mark. Once it has been handled,
everything that the owner had committed when the question was asked has been handled too, as far as it did not fail:

- The question leaves after its time was taken, so the owner answers later than that. What it had committed by then has
  positions in its outbox that were drawn before, and so lower ones than the answer's: positions come from one sequence.
- Whatever snapshot of the relay shows the answer shows those commits too: they ended earlier. It sends what it sees in the
  order of positions, over one channel and one exchange into one queue, which has one consumer. What a slow transaction
  commits later is below the answer, but was not committed when the question was asked: nothing is claimed of it.
- A message that failed is kept, and its key has no age until it is through.
- States from before the queue was there are brought by a fill; before one has ended, a mark says nothing.

All times are of the replica's own database, when it asked: clocks of two machines are never compared. What the broker refused
or returned comes after the answer; it is sent again at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from broker._context import Cause, caused_by, uuid7
from broker._crash_points import CrashPoint
from broker._database import Database
from broker._loop import Loop
from broker._publishing import publish
from contracts.backbone import ReplicaRequested

if TYPE_CHECKING:
    from broker._replica_runs import Place

log = structlog.get_logger("nilecare.replicas")

PATIENCE = timedelta(minutes=10)
"""The broker keeps a question until its owner is back. After this long it is asked again, in case it failed over there."""

ASK = text(
    """
    INSERT INTO backbone.replica_mark AS mark (replica, asked_id, asked_at) VALUES (:replica, :id, clock_timestamp())
    ON CONFLICT (replica) DO UPDATE SET asked_id = excluded.asked_id, asked_at = excluded.asked_at
    WHERE mark.asked_at <= clock_timestamp()
          - CASE WHEN mark.asked_id IS NULL THEN CAST(:every AS interval) ELSE CAST(:patience AS interval) END
    RETURNING replica
    """
)
TAKE = text(
    """
    UPDATE backbone.replica_mark SET asked_id = NULL, as_of = CASE WHEN EXISTS (
        SELECT FROM backbone.replica_run WHERE replica = :replica AND purpose <> 'check' AND state = 'done'
    ) THEN asked_at ELSE as_of END
    WHERE replica = :replica AND asked_id = :id
    """
)
AGES = text(
    """
    SELECT replica, clock_timestamp() - as_of FROM backbone.replica_mark
    WHERE replica = ANY(CAST(:replicas AS text[])) AND as_of IS NOT NULL
    """
)


async def ask_for_mark(session: AsyncSession, place: Place, every: timedelta = timedelta()) -> bool:
    """Asks the owner, unless a question is under way or the last one is younger than `every`; says whether it did."""
    id_ = uuid7()
    given = {"replica": place.name, "id": id_, "every": every, "patience": max(PATIENCE, every)}
    if await session.scalar(ASK, given) is None:
        return False
    type_ = place.event.contract.name
    publish(session, ReplicaRequested(replica=place.queue, run_id=id_, type=type_, keys=[]))
    return True


async def take_mark(session: AsyncSession, replica: str, id_: UUID) -> None:
    """The owner answered. What answers an earlier question than the last one changes nothing."""
    await session.execute(TAKE, {"replica": replica, "id": id_})


async def ages(session: AsyncSession | AsyncConnection, replicas: Iterable[str]) -> dict[str, timedelta]:
    """How old these replicas are at most, as far as it is known."""
    rows = await session.execute(AGES, {"replicas": list(replicas)})
    return {row[0]: row[1] for row in rows}


class MarkKeeper(Loop):
    """Asks for marks, for the replicas of a service that say how old they may be; each at a third of that age.

    Logs when one becomes too old, and when it no longer is. Every copy of the service may run it.
    """

    def __init__(self, database: Database, places: Sequence[Place]) -> None:
        self._limits = {place.name: place.replica.fresh.at_most for place in places if place.replica.fresh is not None}
        super().__init__("replica marks", interval=min(self._limits.values()).total_seconds() / 6)
        self._database = database
        self._places = [place for place in places if place.name in self._limits]
        self._stale: set[str] = set()

    async def run_once(self) -> bool:
        """One round: asks where it is time, looks how old the replicas are."""
        for place in self._places:
            with caused_by(Cause(flow=uuid7())):
                async with self._database.lent() as session:
                    if await ask_for_mark(session, place, self._limits[place.name] / 3):
                        await session.settle(CrashPoint.MARK_ASKED_FOR)
        async with self._database.reading() as session:
            known = await ages(session, self._limits)
        for name, age in known.items():
            self._tell(name, age)
        return False

    def _tell(self, name: str, age: timedelta) -> None:
        is_stale = age > self._limits[name]
        told: dict[str, Any] = {"replica": name, "age_seconds": int(age.total_seconds())}
        if is_stale and name not in self._stale:
            log.warning("replica.stale", **told)
            self._stale.add(name)
        elif not is_stale and name in self._stale:
            log.info("replica.fresh", **told)
            self._stale.discard(name)
