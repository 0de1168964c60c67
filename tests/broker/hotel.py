"""A hotel whose guests can be erased, and its desk, which copies guests, hears of them and speaks of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from types import ModuleType
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from broker import Replica, Service, clock, on, publish, schedule
from broker._batch import BatchProcessor, Processor
from broker._context import uuid7
from broker._database import Database, engine_for
from broker._envelope import Envelope
from broker._erasure import left_of
from broker._failures import Failures
from broker._replay import Retrier
from broker._replica_processor import ReplicaProcessor, replica_fed_by
from contracts.backbone import ReplicaStates
from contracts.event import Event, Personal, StateEvent, upcaster
from tests.broker.consuming import envelope_of
from tests.broker.failing import delivery_of


class GuestChanged(StateEvent, name="guest.changed", version=1, key="guest_id", publisher="hotel"):
    """A guest."""

    guest_id: UUID
    full_name: Annotated[str, Personal(of="guest_id")]
    phone: Annotated[str | None, Personal(of="guest_id")]
    room: int


class GuestArrived(Event, name="guest.arrived", version=2, key="guest_id", publisher="hotel"):
    """A guest is here; it is said what they look like, in centimetres too, and who brought them."""

    guest_id: UUID
    looks: Annotated[str, Personal(of="guest_id")]
    height: Annotated[int, Personal(of="guest_id", erased=0)] = 170
    brought_by: UUID | None = None
    brought_by_name: Annotated[str | None, Personal(of="brought_by")] = None

    @upcaster(since=1)
    @staticmethod
    def _name_looks(data: dict[str, Any]) -> dict[str, Any]:
        return {"guest_id": data["guest_id"], "looks": data["appearance"].strip()}


class GuestErased(Event, name="guest.erased", version=1, key="guest_id", publisher="hotel", erases="guest_id"):
    """A guest wants to be forgotten."""

    guest_id: UUID


class RoomCleaned(Event, name="room.cleaned", version=1, key="room", publisher="hotel"):
    """A room is clean again; nothing personal."""

    room: str
    cleaned_for: UUID


class GuestGreeted(Event, name="guest.greeted", version=1, key="guest_id", publisher="desk"):
    """The desk greeted a guest."""

    guest_id: UUID
    words: Annotated[str, Personal(of="guest_id")]


class GuestWeighed(Event, name="guest.weighed", version=1, key="guest_id", publisher="desk"):
    """A guest was weighed; what stands for their weight once they are erased is not said."""

    guest_id: UUID
    kilograms: Annotated[int, Personal(of="guest_id")]


class Noted(Event, name="desk.noted", version=1, key="number", publisher="hotel"):
    """Somebody wrote something down, about whoever."""

    number: int
    note: Annotated[Any, Personal(of="note")] = None


class Companion(BaseModel):
    """Who sits beside a guest."""

    name: Annotated[str, Personal(of="guest_id")]


class SeatChanged(StateEvent, name="seat.changed", version=1, key="seat", publisher="hotel"):
    """Who sits where."""

    seat: str
    guest_id: UUID
    sitter_name: Annotated[str, Personal(of="guest_id")]
    companions: tuple[Companion, ...] = ()


class Base(DeclarativeBase):
    """The desk's tables."""


class GuestReference(Replica[GuestChanged], Base):
    """A copy of a guest."""

    __tablename__ = "guest_reference"

    full_name: Mapped[str]
    phone: Mapped[str | None]
    room: Mapped[int]


class Seen(Base):
    """What the desk's handler was told."""

    __tablename__ = "seen"

    place: Mapped[int] = mapped_column(primary_key=True)
    looks: Mapped[str]


def module_of(*members: Any) -> ModuleType:
    """The members as a module; it bears this module's name, where they are from."""
    module = ModuleType(__name__)
    for member in members:
        setattr(module, member.__name__, member)
    return module


@dataclass
class Desk:
    """The service, its database, and what its handler does beside noting what it was told."""

    database: Database
    behaviour: Callable[[GuestArrived, AsyncSession], Awaitable[None]] | None = None
    processors: dict[str, Processor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        async def greet(event: GuestArrived | RoomCleaned | Noted, session: AsyncSession) -> None:
            if isinstance(event, Noted):
                session.add(Seen(looks=str(event.note)))
            if isinstance(event, GuestArrived):
                session.add(Seen(looks=event.looks))
                if self.behaviour is not None:
                    await self.behaviour(event, session)

        greet.__module__ = __name__
        self.service = Service(
            name="desk", port=0, tables=Base.metadata, replicas=module_of(GuestReference),
            handlers=module_of(on(GuestArrived, RoomCleaned, Noted, on_failure="pass")(greet)),
            contracts=module_of(GuestGreeted),
        )  # fmt: skip
        self.failures = Failures(self.service)
        self.retrier = Retrier(self.database, self.service, self.failures)
        for subscription in self.service.subscriptions:
            kind = ReplicaProcessor if replica_fed_by(self.service, subscription) else BatchProcessor
            self.processors[subscription.name] = kind(self.database, self.service, subscription, self.failures)

    async def hear(self, *envelopes: Envelope) -> None:
        """Every subscription gets its messages, as one batch."""
        for subscription in self.service.subscriptions:
            own = [each for each in envelopes if subscription.contract(each.type)]
            if own:
                await self.processors[subscription.name].process([delivery_of(each) for each in own])

    async def erase(self, guest: UUID) -> None:
        """Hears that a guest is erased."""
        await self.hear(envelope_of(GuestErased(guest_id=guest)))

    async def says(self, guest: UUID, words: str) -> None:
        """Publishes, and schedules for tomorrow, what has personal data."""
        greeted = GuestGreeted(guest_id=guest, words=words)
        async with self.database.transaction() as session:
            publish(session, greeted)
            await schedule(session, greeted, at=clock.now() + timedelta(days=1), name=f"greet {guest} {uuid7()}")

    async def rows(self, sql: str, **values: Any) -> list[Any]:
        """What a query gives."""
        async with self.database.transaction() as session:
            return list((await session.execute(text(sql), values)).all())

    async def left(self, guest: UUID) -> dict[str, int]:
        """What is here of a guest."""
        async with self.database.transaction() as session:
            return await left_of(session, self.service, guest)

    async def holds(self, secret: str) -> set[str]:
        """The tables in which some text stands, as text or bytes."""
        query = """
            SELECT schemaname || '.' || tablename AS name FROM pg_tables
            WHERE schemaname IN ('public', 'backbone') AND query_to_xml(
                format('SELECT 1 FROM %I.%I t WHERE t::text LIKE ANY (%L) LIMIT 1', schemaname, tablename,
                       CAST(:patterns AS text[])), false, true, '')::text <> ''
        """
        return {row.name for row in await self.rows(query, patterns=[f"%{secret}%", f"%{secret.encode().hex()}%"])}


async def desk_at(url: str) -> Desk:
    """The desk, on a database with the backbone's tables."""
    database = Database(engine_for(url), "desk")
    async with database.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    return Desk(database)


def state(guest: UUID, name: str, version: int, *, room: int = 1) -> Envelope:
    """A state of a guest, as it is published."""
    event = GuestChanged(guest_id=guest, full_name=name, phone=name, room=room, state_version=version)
    return envelope_of(event, sequence=version)


def answer(guests: Iterable[tuple[UUID, str, int]], run: UUID, **more: Any) -> Envelope:
    """The hotel's answer to the replica: states of guests with their names and versions."""
    said: dict[str, Any] = {"after": None, "upto": None, "keys": None, "ask_after": None, **more}
    fields = ["guest_id", "full_name", "phone", "room", "state_version"]
    rows = [[str(guest), name, name, 1, version] for guest, name, version in guests]
    event = ReplicaStates(
        replica="desk.guest_reference", run_id=run, type="guest.changed", type_version=1, fields=fields, count=len(rows),
        rows=json.dumps(rows), **said,
    )  # fmt: skip
    return envelope_of(event, source="hotel")


async def both(*work: Awaitable[Any]) -> None:
    """Does things at once."""
    await asyncio.gather(*work)


def body(envelope: Envelope) -> Any:
    """What a message says."""
    return json.loads(envelope.body)
