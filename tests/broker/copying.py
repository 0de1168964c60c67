"""An owner and a service that keeps replicas of what it owns, with a ferry between their databases in place of the broker."""

from __future__ import annotations

import types
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, delete, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from broker import Replica, Service, StateOwner, publishes_state
from broker._answering import subscription_to_replicas
from broker._batch import BatchProcessor, Processor
from broker._database import Database, engine_for
from broker._delivery import Delivery
from broker._envelope import Envelope
from broker._failures import Failures
from broker._replica_processor import ReplicaProcessor
from broker._replica_runs import Place, Purpose, Run, begin, run_of
from broker._states import touch
from broker._tables import outbox
from contracts.event import StateEvent
from tests.broker.failing import delivery_of


class PersonChanged(StateEvent, name="person.changed", version=1, key="person_id", publisher="people"):
    """A person, each of whose fields is a column."""

    person_id: UUID
    full_name: str
    born_on: date | None = None
    weight: Decimal | None = None


class WardChanged(StateEvent, name="ward.changed", version=1, key="code", publisher="people"):
    """A ward, whose key is text and whose beds are objects of their own."""

    code: str
    beds: list[str]


class GuestChanged(StateEvent, name="guest.changed", version=1, key="guest_id", publisher="people"):
    """A guest, of whom people says something and keeps nothing."""

    guest_id: UUID


class PeopleBase(DeclarativeBase):
    """The owner's tables."""


@publishes_state(PersonChanged)
class Person(StateOwner, PeopleBase):
    """A person."""

    __tablename__ = "persons"

    person_id: Mapped[UUID] = mapped_column(primary_key=True)
    full_name: Mapped[str]
    born_on: Mapped[date | None]
    weight: Mapped[Decimal | None]


@publishes_state(WardChanged)
class Ward(StateOwner, PeopleBase):
    """A ward."""

    __tablename__ = "wards"

    id: Mapped[str] = mapped_column(primary_key=True)
    parts: Mapped[list[Bed]] = relationship(order_by="Bed.name", cascade="all, delete-orphan")

    @property
    def beds(self) -> list[str]:
        """The names of its beds."""
        return [bed.name for bed in self.parts]


class Bed(PeopleBase):
    """A bed of a ward."""

    __tablename__ = "ward_beds"

    ward: Mapped[str] = mapped_column(ForeignKey("wards.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)


class LedgerBase(DeclarativeBase):
    """The subscriber's tables."""


class PersonReference(Replica[PersonChanged], LedgerBase):
    """A copy of a person."""

    __tablename__ = "person_reference"

    full_name: Mapped[str]
    born_on: Mapped[date | None]
    weight: Mapped[Decimal | None]


class WardReference(Replica[WardChanged], LedgerBase):
    """A copy of a ward, which keeps its beds in another form than the state has them."""

    __tablename__ = "ward_reference"

    beds: Mapped[Any] = mapped_column(JSONB)

    @classmethod
    def kept(cls, event: WardChanged) -> dict[str, Any]:
        """The columns: each bed by its name."""
        return {"beds": dict.fromkeys(event.beds, True)}


class GuestReference(Replica[GuestChanged], LedgerBase):
    """A copy of a guest."""

    __tablename__ = "guest_reference"


def _module(name: str, *members: type) -> types.ModuleType:
    module = types.ModuleType(name)
    for member in members:
        setattr(module, member.__name__, type(member.__name__, (member,), {"__module__": name, "contract": member.contract}))  # type: ignore[attr-defined]
    return module


people = Service(
    name="people", port=0, tables=PeopleBase.metadata,
    contracts=_module("contracts_of_people", PersonChanged, WardChanged, GuestChanged),
)  # fmt: skip
REPLICAS: tuple[type[Replica[Any]], ...] = (PersonReference, WardReference, GuestReference)
_replicas = types.ModuleType("replicas_of_ledger")
for _replica in REPLICAS:
    setattr(_replicas, _replica.__name__, _replica)
    _replica.__module__ = _replicas.__name__
ledger = Service(
    name="ledger", port=0, tables=LedgerBase.metadata, replicas=_replicas, contracts=_module("contracts_of_ledger")
)

PERSONS, WARDS, GUESTS = (Place("ledger", replica) for replica in REPLICAS)

Message = tuple[str, Delivery]
"""The service that it goes to, and the message as the broker would deliver it."""


@dataclass
class Ferry:
    """Both sides, and what is on its way between them, in the order of its publishing."""

    owner: Database
    keeper: Database
    under_way: list[Message] = field(default_factory=list)
    processors: dict[str, Processor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        answers = subscription_to_replicas(people)
        self.processors["people"] = BatchProcessor(self.owner, people, answers, Failures(people))
        for place in (PERSONS, WARDS, GUESTS):
            subscription = place.replica.subscription()
            self.processors[place.queue] = ReplicaProcessor(self.keeper, ledger, subscription, Failures(ledger))

    async def fetch(self) -> None:
        """What was published since is on its way."""
        for database, service in ((self.owner, "people"), (self.keeper, "ledger")):
            async with database.transaction() as session:
                rows = (await session.execute(delete(outbox).returning(*outbox.c))).all()
            for row in sorted(rows, key=lambda row: row.position):
                envelope = Envelope(
                    id=row.id, type=row.type, source=service, subject=row.key, version=row.version, sequence=row.sequence,
                    flow=row.flow, cause=row.cause, trace=row.trace, time=row.occurred_at, body=row.body,
                )  # fmt: skip
                self.under_way += [(place, delivery_of(envelope)) for place in self._places(envelope)]

    def _places(self, envelope: Envelope) -> list[str]:
        if envelope.type == "replica.requested":
            return ["people"]
        if envelope.type == "replica.states":
            return [envelope.subject]
        return [place.queue for place in (PERSONS, WARDS, GUESTS) if place.event.contract.name == envelope.type]

    async def deliver(self, place: int = 0) -> None:
        """Delivers one message, the first on its way if no other place is given."""
        to, delivery = self.under_way.pop(place)
        await self.processors[to].process([delivery])

    async def settle(self) -> None:
        """Delivers everything, with all that follows."""
        await self.fetch()
        while self.under_way:
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

    async def persons(self) -> dict[UUID, tuple[Any, ...]]:
        """What the owner has."""
        async with self.owner.transaction() as session:
            return {each.person_id: _said(each) for each in await session.scalars(select(Person))}

    async def copies(self) -> dict[UUID, tuple[Any, ...]]:
        """What the replica has."""
        async with self.keeper.transaction() as session:
            rows = await session.scalars(select(PersonReference).where(~PersonReference.deleted))
            return {each.id: _said(each) for each in rows}

    async def write(self, *persons: Person) -> None:
        """The owner adds persons, or changes those that it has."""
        async with self.owner.transaction() as session:
            for person in persons:
                there = await session.get(Person, person.person_id)
                if there is None:
                    session.add(person)
                else:
                    there.full_name, there.born_on, there.weight = person.full_name, person.born_on, person.weight
                    touch(there)

    async def remove(self, person_id: UUID) -> None:
        """The owner deletes a person, if there is one."""
        async with self.owner.transaction() as session:
            there = await session.get(Person, person_id)
            if there is not None:
                await session.delete(there)


def _said(each: Person | PersonReference) -> tuple[Any, ...]:
    return each.state_version, each.full_name, each.born_on, each.weight


@asynccontextmanager
async def ferry_over(make: Callable[[], Awaitable[str]]) -> AsyncIterator[Ferry]:
    """A ferry between two databases made for it."""
    owner, keeper = Database(engine_for(await make()), "people"), Database(engine_for(await make()), "ledger")
    try:
        for database, base in ((owner, PeopleBase), (keeper, LedgerBase)):
            async with database.engine.begin() as connection:
                await connection.run_sync(base.metadata.create_all)
        yield Ferry(owner, keeper)
    finally:
        await owner.close()
        await keeper.close()
