"""Flows: is everything over that followed from one command, was anything lost, did everything happen in order.

Computed from the databases of all services alone: outbox, journal, inbox, failed messages, schedules and calls. Needs the
journal (`Settings.journal`). For tests, the demo and operations.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import text

from broker._clock import clock
from broker._database import Database
from broker._service import Service
from broker._sight import Said, Sight

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


class Flows:
    """Looks at the databases of all services at once.

    databases: by service. Dead and waiting messages count as ended: nothing moves until something else happens.
    """

    def __init__(self, databases: Mapping[Service, Database]) -> None:
        self.databases = {service.name: database for service, database in databases.items()}
        self._renamed: dict[str, str] = {}
        self._ordered: set[str] = set()
        self._over: Mapping[str, int] = {}
        for service in databases:
            for subscription in service.subscriptions:
                queue = service.queue(subscription)
                self._renamed.update({f"{service.name}.{former}": queue for former in subscription.formerly})
                if subscription.on_failure == "hold":
                    self._ordered.add(queue)

    def sight(self, flow: UUID | None = None, *, since: Mapping[str, int] | None = None) -> Sight:
        """What is known of a flow, of all flows when None is given: nothing, until it looks. since: see Sight."""
        return Sight({name: database.engine for name, database in self.databases.items()}, flow, self._renamed, since)

    async def is_over(self, flow: UUID | None = None) -> bool:
        """Whether nothing of the flow (of all flows when None is given) is under way any more."""
        return not await self.open(flow)

    async def settled(self, flow: UUID | None = None, *, seconds: float = 30.0) -> None:
        """Returns when the flow is over. Raises FlowOpen after `seconds`."""
        sight, until, pause = self.sight(flow, since=self._over), time.monotonic() + seconds, 0.01
        while True:
            began = time.monotonic()
            await sight.look()
            left = sight.open()
            if not left:
                if flow is None:
                    self._over = sight.read
                return
            now = time.monotonic()
            if now > until:
                counted = ", ".join(f"{count} {what}" for what, count in sorted(left.items()))
                raise FlowOpen(f"after {seconds} s: {counted} ({', '.join(sight.examples())})")
            # A look at very many events is dear: half of the time is left to those who do the work.
            await asyncio.sleep(max(pause, now - began))
            pause = min(pause * 1.5, 0.2)

    async def open(self, flow: UUID | None = None) -> Mapping[str, int]:
        """What of the flow is under way, counted; empty when it is over."""
        sight = self.sight(flow)
        await sight.look()
        return sight.open()

    async def lost(self) -> list[Undone]:
        """The relayed events that have neither an effect nor a kept failure in a subscription bound at that time.

        Says something once the flows are over: before that, it also lists what is on its way.
        """
        sight = self.sight()
        await sight.look()
        return [Undone(owed.event.id, owed.event.type, owed.event.key, owed.queue) for owed in sight.owed]

    async def order_violations(self) -> list[OutOfOrder]:
        """Where the order of effects of one key in one subscription is not the order in which it was published.

        For subscriptions that hold keys. One with `on_failure="pass"` lets later messages go on, and so does a replica: its
        superseded states may be closed late, and only the newest version counts.
        """
        sight = self.sight()
        await sight.look()
        journal = {event.id: event for event in sight.said}
        violations = []
        for name, database in self.databases.items():
            last: dict[tuple[str, str, str], Said] = {}
            async with database.engine.connect() as connection:
                effects = (await connection.execute(EFFECTS)).all()
            for id_, subscription in effects:
                queue, event = f"{name}.{subscription}", journal.get(id_)
                if event is None or queue not in self._ordered:
                    continue
                latest = last.setdefault((queue, event.service, event.key), event)
                if latest.position > event.position:
                    violations.append(OutOfOrder(queue, event.key, event.id, latest.id))
                else:
                    last[queue, event.service, event.key] = event
        return violations

    async def move_clock(self, by: timedelta) -> None:
        """Moves business time in every process that follows one of these databases."""
        await clock.move(by, [database.engine for database in self.databases.values()])
