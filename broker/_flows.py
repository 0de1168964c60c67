"""Flows: is everything over that followed from one command, was anything lost, did everything happen in order.

Computed from the databases of all services alone: outbox, journal, inbox, failed messages, schedules and calls. Needs the
journal (`Settings.journal`). For tests, the demo and operations.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import text

from broker._clock import clock
from broker._database import Database
from broker._service import Service

UNDER_WAY = text(
    """
    SELECT (SELECT count(*) FROM backbone.outbox WHERE flow = :flow OR :every) AS "in the outbox",
           (SELECT count(*) FROM backbone.schedule WHERE (flow = :flow OR :every) AND due_at <= :now) AS "due",
           (SELECT count(*) FROM backbone.call
            WHERE (flow = :flow OR :every) AND state IN ('pending', 'sending', 'unknown', 'received') AND due_at < 'infinity'
           ) AS "called outside",
           (SELECT count(*) FROM backbone.failed_message WHERE (flow = :flow OR :every) AND state = 'retrying'
           ) AS "being retried",
           (SELECT count(*) FROM backbone.action WHERE :every AND state = 'running') AS "being carried out",
           (SELECT count(*) FROM backbone.operation WHERE :every) AS "to be answered",
           (SELECT count(*) FROM backbone.change WHERE :every AND (SELECT is_whole FROM backbone.reporting)
           ) AS "to be reported"
    """
)
PUBLISHED = text(
    "SELECT id, position, type, key, subscriptions FROM backbone.published WHERE flow = :flow OR :every ORDER BY position"
)
ENDED = """
    SELECT id, subscription FROM backbone.inbox {where}
    UNION ALL
    SELECT id, subscription FROM backbone.failed_message {where}
"""
ALL_ENDED, ENDED_OF = text(ENDED.format(where="")), text(ENDED.format(where="WHERE id = ANY (CAST(:ids AS uuid[]))"))
EFFECTS = text("SELECT id, subscription FROM backbone.inbox ORDER BY position")


class FlowOpen(TimeoutError):
    """A flow did not come to its end in time; the message says what it still waits for."""


@dataclass(frozen=True, slots=True)
class Undone:
    """An event that a subscription was bound to, with neither an effect nor a failure kept."""

    id: UUID
    type: str
    key: str
    subscription: str
    """With its service: the name of its queue."""


@dataclass(frozen=True, slots=True)
class OutOfOrder:
    """An event that took effect after a later one of its key."""

    subscription: str
    key: str
    id: UUID
    after: UUID


@dataclass(frozen=True, slots=True)
class _Journaled:
    id: UUID
    publisher: str
    position: int
    type: str
    key: str
    queues: tuple[str, ...]


class Flows:
    """Looks at the databases of all services at once.

    databases: by service. Dead and waiting messages count as ended: nothing moves until something else happens.
    """

    def __init__(self, databases: Mapping[Service, Database]) -> None:
        self.databases = {service.name: database for service, database in databases.items()}
        self._renamed: dict[str, str] = {}
        self._ordered: set[str] = set()
        for service in databases:
            for subscription in service.subscriptions:
                queue = service.queue(subscription)
                self._renamed.update({f"{service.name}.{former}": queue for former in subscription.formerly})
                if subscription.on_failure == "hold":
                    self._ordered.add(queue)

    async def is_over(self, flow: UUID | None = None) -> bool:
        """Whether nothing of the flow (of all flows when None is given) is under way any more."""
        return not await self.open(flow)

    async def settled(self, flow: UUID | None = None, *, seconds: float = 30.0) -> None:
        """Returns when the flow is over. Raises FlowOpen after `seconds`."""
        until, pause = time.monotonic() + seconds, 0.01
        while True:
            began = time.monotonic()
            left = await self.open(flow)
            if not left:
                return
            now = time.monotonic()
            if now > until:
                raise FlowOpen(f"after {seconds} s: " + ", ".join(f"{count} {what}" for what, count in sorted(left.items())))
            # A look at very many events is dear: half of the time is left to those who do the work.
            await asyncio.sleep(max(pause, now - began))
            pause = min(pause * 1.5, 0.2)

    async def open(self, flow: UUID | None = None) -> Mapping[str, int]:
        """What of the flow is under way, counted; empty when it is over.

        The databases are read one after the other, so that something could slip from one not yet read to one read before:
        it is over only when two looks in a row see nothing under way and the same that has been.
        """
        seen = None
        while True:
            left, been = await self._look(flow)
            if left or been == seen:
                return left
            seen = been

    async def lost(self) -> list[Undone]:
        """The relayed events that have neither an effect nor a kept failure in a subscription bound at that time.

        Says something once the flows are over: before that, it also lists what is on its way.
        """
        return _undone(await self._journal(None), await self._ended())

    async def order_violations(self) -> list[OutOfOrder]:
        """Where the order of effects of one key in one subscription is not the order in which it was published.

        For subscriptions that hold keys. One with `on_failure="pass"` lets later messages go on, and so does a replica: its
        superseded states may be closed late, and only the newest version counts.
        """
        journal = {event.id: event for event in await self._journal(None)}
        violations = []
        for name, database in self.databases.items():
            last: dict[tuple[str, str, str], _Journaled] = {}
            async with database.engine.connect() as connection:
                effects = (await connection.execute(EFFECTS)).all()
            for id_, subscription in effects:
                queue, event = f"{name}.{subscription}", journal.get(id_)
                if event is None or queue not in self._ordered:
                    continue
                latest = last.setdefault((queue, event.publisher, event.key), event)
                if latest.position > event.position:
                    violations.append(OutOfOrder(queue, event.key, event.id, latest.id))
                else:
                    last[queue, event.publisher, event.key] = event
        return violations

    async def move_clock(self, by: timedelta) -> None:
        """Moves business time in every process that follows one of these databases."""
        await clock.move(by, [database.engine for database in self.databases.values()])

    async def _look(self, flow: UUID | None) -> tuple[Counter[str], object]:
        left: Counter[str] = Counter()
        now = clock.now()
        for database in self.databases.values():
            async with database.engine.connect() as connection:
                row = (await connection.execute(UNDER_WAY, {"flow": flow, "every": flow is None, "now": now})).one()
            left.update(row._asdict())
        if +left:
            return +left, None
        journal = await self._journal(flow)
        ended = await self._ended(None if flow is None else [event.id for event in journal])
        left["on their way to a subscription"] = len(_undone(journal, ended))
        return +left, (len(journal), len(ended))

    async def _journal(self, flow: UUID | None) -> list[_Journaled]:
        events = []
        for name, database in self.databases.items():
            async with database.engine.connect() as connection:
                rows = await connection.execute(PUBLISHED, {"flow": flow, "every": flow is None})
                for id_, position, type_, key, subscriptions in rows:
                    events.append(_Journaled(id_, name, position, type_, key, self._today(subscriptions)))
        return events

    async def _ended(self, ids: list[UUID] | None = None) -> set[tuple[UUID, str]]:
        """Which of these events (of all) ended in which queue."""
        ended: set[tuple[UUID, str]] = set()
        for name, database in self.databases.items():
            async with database.engine.connect() as connection:
                rows = await connection.execute(*((ALL_ENDED,) if ids is None else (ENDED_OF, {"ids": ids})))
                ended.update((id_, f"{name}.{subscription}") for id_, subscription in rows)
        return ended

    def _today(self, queues: Iterable[str]) -> tuple[str, ...]:
        """The queues by the names that their subscriptions have now, of services that are looked at."""
        named = (self._renamed.get(queue, queue) for queue in queues)
        return tuple(queue for queue in named if queue.partition(".")[0] in self.databases)


def _undone(journal: Iterable[_Journaled], ended: set[tuple[UUID, str]]) -> list[Undone]:
    return [
        Undone(event.id, event.type, event.key, queue)
        for event in journal
        for queue in event.queues
        if (event.id, queue) not in ended
    ]
