"""What goes from database to database, with a ferry in place of the broker."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import delete

from broker._batch import Processor
from broker._database import Database
from broker._delivery import Delivery
from broker._envelope import Envelope
from broker._replica_runs import Place, Purpose, Run, begin, run_of
from broker._tables import outbox
from tests.broker.failing import delivery_of

Message = tuple[str, Delivery]
"""Whose processor it goes to, and the message as the broker would deliver it."""


@dataclass
class Crossing(ABC):
    """What is under way to those who process it, in the order of its publishing; `keeper` is the database with the replicas."""

    keeper: Database
    under_way: list[Message] = field(default_factory=list, kw_only=True)
    processors: dict[str, Processor] = field(default_factory=dict, kw_only=True)

    @abstractmethod
    def databases(self) -> Mapping[str, Database]:
        """Where something may be published, by service."""

    @abstractmethod
    def addressees(self, envelope: Envelope) -> list[str]:
        """Whose processors it goes to."""

    async def fetch(self) -> None:
        """What was published since is on its way."""
        for service, database in self.databases().items():
            async with database.transaction() as session:
                rows = (await session.execute(delete(outbox).returning(*outbox.c))).all()
            for row in sorted(rows, key=lambda row: row.position):
                envelope = Envelope(
                    id=row.id, type=row.type, source=service, subject=row.key, version=row.version, sequence=row.sequence,
                    flow=row.flow, cause=row.cause, trace=row.trace, time=row.occurred_at, body=row.body,
                )  # fmt: skip
                self.under_way += [(to, delivery_of(envelope)) for to in self.addressees(envelope)]

    def is_up(self, to: str) -> bool:
        """Whether something can be delivered there."""
        return True

    @property
    def is_moving(self) -> bool:
        """Whether something can be delivered."""
        return any(self.is_up(to) for to, _ in self.under_way)

    async def deliver(self, place: int = 0) -> None:
        """Delivers one message to somebody who is up; the first one if no other place is given."""
        ready = [number for number, (to, _) in enumerate(self.under_way) if self.is_up(to)]
        to, delivery = self.under_way.pop(ready[place])
        await self.processors[to].process([delivery])

    async def settle(self) -> None:
        """Delivers everything, with all that follows."""
        await self.fetch()
        while self.is_moving:
            await self.deliver()
            await self.fetch()

    async def begin(self, place: Place, purpose: Purpose, *, anew: bool = False) -> UUID:
        """Begins a run."""
        async with self.keeper.transaction() as session:
            return await begin(session, place, purpose, "amani", anew=anew)

    async def run(self, place: Place, purpose: Purpose) -> Run:
        """A whole run, to its end."""
        id_ = await self.begin(place, purpose)
        await self.settle()
        return await self.look(id_)

    async def look(self, id_: UUID) -> Run:
        """A run, as far as it is."""
        async with self.keeper.transaction() as session:
            run = await run_of(session, id_)
        assert run is not None
        return run
