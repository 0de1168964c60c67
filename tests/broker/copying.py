"""An owner and a service that keeps replicas of what it owns, with a ferry between their databases in place of the broker."""

from __future__ import annotations

import types
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from broker import Replica, Service, StateOwner, publishes_state
from broker._answering import subscription_to_replicas
from broker._batch import BatchProcessor
from broker._database import Database, engine_for
from broker._envelope import Envelope
from broker._failures import Failures
from broker._replica_processor import ReplicaProcessor
from broker._replica_runs import Place
from broker._states import touch
from contracts.event import StateEvent
from tests.broker.ferrying import Crossing


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


@dataclass
class Ferry(Crossing):
    """Both sides, and what is on its way between them."""

    owner: Database

    def __post_init__(self) -> None:
        answers = subscription_to_replicas(people)
        self.processors["people"] = BatchProcessor(self.owner, people, answers, Failures(people))
        for place in (PERSONS, WARDS, GUESTS):
            subscription = place.replica.subscription()
            self.processors[place.queue] = ReplicaProcessor(self.keeper, ledger, subscription, Failures(ledger))

    def databases(self) -> Mapping[str, Database]:
        return {"people": self.owner, "ledger": self.keeper}

    def addressees(self, envelope: Envelope) -> list[str]:
        if envelope.type == "replica.requested":
            return ["people"]
        if envelope.type == "replica.states":
            return [envelope.subject]
        return [place.queue for place in (PERSONS, WARDS, GUESTS) if place.event.contract.name == envelope.type]

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
        yield Ferry(keeper, owner)
    finally:
        await owner.close()
        await keeper.close()
