"""Replicas: whatever arrives, in whatever order and however often, the newest state of each key is what stays."""

from __future__ import annotations

import asyncio
import types
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict
from sqlalchemy import ARRAY, Text, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from broker import DeclarationError, NotFound, NotYet, Replica, Service
from broker._context import uuid7
from broker._database import Database, engine_for
from broker._delivery import Delivery
from broker._envelope import Envelope
from broker._failures import Failures
from broker._invocation import Invocation
from broker._publishing import body_of
from broker._replica_processor import ReplicaProcessor
from broker._replicas import replicas_in
from broker.testing.scratch import Databases
from contracts.backbone import ReplicaStates
from contracts.event import Event, StateEvent


class Phone(BaseModel):
    """A part of a state that is a model of its own."""

    model_config = ConfigDict(frozen=True)

    number: str


class PersonChanged(StateEvent, name="person.changed", version=1, key="person_id", publisher="people"):
    """A person as others may know them."""

    person_id: UUID
    full_name: str
    born_on: date | None
    phone: Phone | None = None
    unseen: int = 0


class WardChanged(StateEvent, name="ward.changed", version=1, key="code", publisher="people"):
    """A ward, whose key is text."""

    code: str
    beds: int
    rooms: tuple[str, ...] = ()


class Base(DeclarativeBase):
    """The subscriber's tables."""


class PersonReference(Replica[PersonChanged], Base):
    """A copy of a person."""

    __tablename__ = "person_reference"

    full_name: Mapped[str]
    born_on: Mapped[date | None]
    phone: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))


class WardReference(Replica[WardChanged], Base):
    """A copy of a ward."""

    __tablename__ = "ward_reference"

    beds: Mapped[int]
    rooms: Mapped[list[str]] = mapped_column(JSONB)


replicas = types.ModuleType("replicas_under_test")
for replica in (PersonReference, WardReference):
    setattr(replicas, replica.__name__, replica)
    replica.__module__ = replicas.__name__

service = Service(name="ledger", port=0, replicas=replicas, contracts=types.ModuleType("contracts_under_test"))


@pytest.fixture
async def ledger(database: Databases) -> AsyncIterator[Database]:
    """The subscriber's database."""
    engine = engine_for(await database())
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield Database(engine, "ledger")
    await engine.dispose()


def envelope_of(event: StateEvent, id_: UUID | None = None, body: bytes | None = None) -> Envelope:
    """The envelope that its publisher would put it in."""
    return Envelope(
        id=id_ or uuid7(),
        type=event.contract.name,
        source=event.contract.publisher,
        subject=event.subject,
        version=event.contract.version,
        sequence=event.state_version,
        flow=uuid7(),
        cause=None,
        trace=None,
        time=datetime.now(UTC),
        body=body if body is not None else body_of(event),
    )


def delivered(event: StateEvent, id_: UUID | None = None, body: bytes | None = None) -> Delivery:
    """The event as the broker delivers it."""
    envelope = envelope_of(event, id_, body)
    properties = envelope.properties(envelope.source)
    return Delivery(
        exchange=envelope.source,
        routing_key=envelope.type,
        message_id=properties.message_id,
        headers=properties.headers or {},
        body=envelope.body,
    )


def person(key: UUID, version: int, *, name: str | None = None, deleted: bool = False) -> PersonChanged:
    """A state of a person."""
    return PersonChanged(
        person_id=key, full_name=name or f"Name {version}", born_on=None, state_version=version, deleted=deleted
    )


def processor(database: Database, replica: type[Replica[Any]] = PersonReference) -> ReplicaProcessor:
    """What the replica's deliveries are given to."""
    return ReplicaProcessor(database, service, replica.subscription(), Failures(service))


async def rows(database: Database) -> dict[UUID, tuple[int, bool, str]]:
    """Version, tombstone and name of every row."""
    async with database.transaction() as session:
        found = (await session.scalars(select(PersonReference))).all()
    return {row.id: (row.state_version, row.deleted, row.full_name) for row in found}


async def count(database: Database, statement: str) -> int:
    """What a counting statement gives."""
    async with database.transaction() as session:
        return int(await session.scalar(text(statement)) or 0)


async def test_keeps_newest_of_batch(ledger: Database) -> None:
    """Of several states of one key in one batch the newest stays, and every message is in the inbox."""
    key, other = uuid7(), uuid7()
    await processor(ledger).process(
        [delivered(person(key, 3)), delivered(person(other, 4)), delivered(person(key, 9)), delivered(person(key, 7))]
    )
    assert await rows(ledger) == {key: (9, False, "Name 9"), other: (4, False, "Name 4")}
    assert await count(ledger, "SELECT count(*) FROM backbone.inbox WHERE subscription = 'person_reference'") == 4


async def test_older_changes_nothing(ledger: Database) -> None:
    """A state older than the row changes nothing, and counts as handled."""
    key = uuid7()
    await processor(ledger).process([delivered(person(key, 5))])
    await processor(ledger).process([delivered(person(key, 4))])
    assert await rows(ledger) == {key: (5, False, "Name 5")}
    assert await count(ledger, "SELECT count(*) FROM backbone.inbox") == 2


async def test_redelivery(ledger: Database) -> None:
    """The same message twice, in one batch or two, has one effect and one inbox row."""
    key = uuid7()
    message = delivered(person(key, 5))
    await processor(ledger).process([message, message])
    await processor(ledger).process([message])
    assert await count(ledger, "SELECT count(*) FROM backbone.inbox") == 1


async def test_tombstone_stays(ledger: Database) -> None:
    """A deleted aggregate leaves a tombstone that no older state undoes and that `find` does not show."""
    key = uuid7()
    await processor(ledger).process([delivered(person(key, 8, deleted=True)), delivered(person(key, 7))])
    assert await rows(ledger) == {key: (8, True, "Name 8")}
    async with ledger.transaction() as session:
        assert await PersonReference.find(session, key) is None
        with pytest.raises(NotFound):
            await PersonReference.require(session, key)


async def test_created_again(ledger: Database) -> None:
    """A key that is created again after its deletion is there again: its version is the newer."""
    key = uuid7()
    await processor(ledger).process([delivered(person(key, 8, deleted=True))])
    await processor(ledger).process([delivered(person(key, 12))])
    assert await rows(ledger) == {key: (12, False, "Name 12")}


async def test_nested_models_and_text_keys(ledger: Database) -> None:
    """A field that is a model of its own fits a JSONB column, and a key may be text."""
    key = uuid7()
    state = PersonChanged(
        person_id=key, full_name="A", born_on=date(1990, 1, 2), phone=Phone(number="1"), unseen=3, state_version=1
    )
    await processor(ledger).process([delivered(state)])
    await processor(ledger, WardReference).process([delivered(WardChanged(code="A1", beds=12, state_version=2))])
    async with ledger.transaction() as session:
        row = await PersonReference.require(session, key)
        assert (row.phone, row.born_on) == ({"number": "1"}, date(1990, 1, 2))
        assert (await WardReference.require(session, "A1")).beds == 12


async def test_lists(ledger: Database) -> None:
    """A list is one value of a JSONB column, however long those of the other rows are."""
    rooms: dict[str, tuple[str, ...]] = {"A1": ("101", "102"), "A2": (), "A3": ("301",)}
    states = [WardChanged(code=code, beds=1, rooms=names, state_version=1) for code, names in rooms.items()]
    await processor(ledger, WardReference).process([delivered(state) for state in states])
    async with ledger.transaction() as session:
        for code, names in rooms.items():
            assert (await WardReference.require(session, code)).rooms == list(names)


async def test_require_waits(ledger: Database) -> None:
    """What has not arrived raises NotYet, which names the replica and the key."""
    key = uuid7()
    async with ledger.transaction() as session:
        assert await PersonReference.find(session, key) is None
        with pytest.raises(NotYet) as raised:
            await PersonReference.require(session, key)
    assert (raised.value.replica, raised.value.key) == (PersonReference, str(key))


async def test_malformed_holds_nothing(ledger: Database) -> None:
    """A body that breaks its contract is dead at once; the rest of the batch and later states of its key take effect."""
    key, other = uuid7(), uuid7()
    broken = delivered(person(key, 3), body=b'{"person_id": 1}')
    await processor(ledger).process([broken, delivered(person(other, 4)), broken])
    assert await count(ledger, "SELECT count(*) FROM backbone.failed_message WHERE state = 'dead'") == 1
    await processor(ledger).process([delivered(person(key, 5))])
    assert await rows(ledger) == {key: (5, False, "Name 5"), other: (4, False, "Name 4")}


async def test_newer_closes_failed(ledger: Database) -> None:
    """A newer state of a key closes the older ones that had failed: their messages count as handled."""
    key = uuid7()
    broken = delivered(person(key, 3), body=b"{}")
    await processor(ledger).process([broken])
    await processor(ledger).process([delivered(person(key, 5))])
    assert await count(ledger, "SELECT count(*) FROM backbone.failed_message") == 0
    assert await count(ledger, "SELECT count(*) FROM backbone.held_key") == 0
    assert await count(ledger, f"SELECT count(*) FROM backbone.inbox WHERE id = '{broken.id}'") == 1


async def test_older_leaves_newer_failed(ledger: Database) -> None:
    """An older state closes no newer one that had failed."""
    key = uuid7()
    await processor(ledger).process([delivered(person(key, 9), body=b"{}")])
    await processor(ledger).process([delivered(person(key, 5))])
    assert await count(ledger, "SELECT count(*) FROM backbone.failed_message WHERE state = 'dead'") == 1


async def test_retried_by_itself(ledger: Database) -> None:
    """A failed message of a replica can be retried through its subscription's handler, which never undoes a newer state."""
    key = uuid7()
    retry = Invocation(service, PersonReference.subscription())
    for version in (4, 3):
        async with ledger.transaction() as session:
            await retry.invoke(session, envelope_of(person(key, version)))
    assert await rows(ledger) == {key: (4, False, "Name 4")}


async def test_poison_value(ledger: Database) -> None:
    """A value that PostgreSQL refuses fails alone: the others of its batch take effect."""
    key, others = uuid7(), [uuid7() for _ in range(20)]
    batch = [delivered(person(other, 1)) for other in others]
    batch.insert(7, delivered(person(key, 2, name="nul \0 byte")))
    await processor(ledger).process(batch)
    assert set(await rows(ledger)) == set(others)
    assert await count(ledger, "SELECT count(*) FROM backbone.failed_message") == 1


async def test_wakes_who_waits(ledger: Database) -> None:
    """The arrival of a row makes the messages due that waited for it, in the same transaction."""
    key = uuid7()
    waiting = envelope_of(person(uuid7(), 1))
    failures = Failures(service)
    async with ledger.transaction() as session:
        await failures.record(
            session, PersonReference.subscription(), delivered(person(uuid7(), 1)), waiting, NotYet(PersonReference, key)
        )
    await processor(ledger).process([delivered(person(uuid7(), 1))])
    assert await count(ledger, "SELECT count(*) FROM backbone.failed_message WHERE state = 'waiting'") == 1
    await processor(ledger).process([delivered(person(key, 1))])
    assert await count(ledger, "SELECT count(*) FROM backbone.failed_message WHERE state = 'retrying'") == 1


async def test_reads_own_write(ledger: Database) -> None:
    """`wait_for` returns once the version is there, and says in time that it is not."""
    key = uuid7()
    with pytest.raises(TimeoutError):
        await PersonReference.wait_for(ledger.transaction, key, 2, seconds=0.05)
    waiting = asyncio.create_task(PersonReference.wait_for(ledger.transaction, key, 2))
    await processor(ledger).process([delivered(person(key, 3))])
    await waiting


async def test_freshness(ledger: Database) -> None:
    """A replica says how many rows it has, how many are tombstones, and how long the last state was on its way."""
    async with ledger.transaction() as session:
        assert (await PersonReference.freshness(session)).received_at is None
    await processor(ledger).process([delivered(person(uuid7(), 1)), delivered(person(uuid7(), 2, deleted=True))])
    async with ledger.transaction() as session:
        fresh = await PersonReference.freshness(session)
    assert (fresh.rows, fresh.deleted) == (2, 1)
    assert timedelta() <= fresh.lag < timedelta(seconds=30)


async def test_concurrent_batches(ledger: Database) -> None:
    """Batches of overlapping keys at once, as two copies of a service may take them, end in the newest of each."""
    keys = [uuid7() for _ in range(40)]
    batches = [
        [delivered(person(key, version)) for key in keys[::step]] for version, step in ((1, 1), (5, -1), (3, 1), (4, -1))
    ]
    await asyncio.gather(*(processor(ledger).process(batch) for batch in batches))
    assert {row[0] for row in (await rows(ledger)).values()} == {5}


ORDERS = ((1, 1), (5, -1), (3, 1), (4, -1))

versions = st.lists(st.tuples(st.integers(0, 2), st.integers(1, 8)), min_size=1, max_size=25)


@given(arrivals=versions, cut=st.integers(1, 7), deleted=st.sets(st.integers(1, 8)))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_arrival_ends_in_newest(
    ledger: Database, arrivals: list[tuple[int, int]], cut: int, deleted: set[int]
) -> None:
    """Any reordering and repetition of states, in any batches, ends in the newest state of each key."""
    keys = [uuid7() for _ in range(3)]
    messages = {arrival: delivered(person(keys[arrival[0]], arrival[1], deleted=arrival[1] in deleted)) for arrival in arrivals}
    for start in range(0, len(arrivals), cut):
        await processor(ledger).process([messages[arrival] for arrival in arrivals[start : start + cut]])
    newest = {which: max(version for each, version in arrivals if each == which) for which, _ in arrivals}
    found = await rows(ledger)
    assert {keys[which]: found.get(keys[which]) for which in newest} == {
        keys[which]: (version, version in deleted, f"Name {version}") for which, version in newest.items()
    }


def test_declarations() -> None:
    """A replica that cannot work is refused with one sentence: unknown columns, arrays, no contract, another service's name."""

    class Other(DeclarativeBase):
        pass

    class Unknown(Replica[PersonChanged], Other):
        __tablename__ = "unknown"
        nick_name: Mapped[str]

    class Listed(Replica[WardChanged], Other):
        __tablename__ = "listed"
        beds: Mapped[list[str]] = mapped_column(ARRAY(Text))

    with pytest.raises(DeclarationError, match=r"columns that person\.changed does not: nick_name"):
        Unknown.subscription()
    with pytest.raises(DeclarationError, match="array"):
        Listed.subscription()
    with pytest.raises(DeclarationError, match="does not say what it copies"):

        class Bare(Replica, Other):  # type: ignore[type-arg]
            __tablename__ = "bare"


def test_subscription_and_module() -> None:
    """A replica is fed by one subscription named after its table, which holds nothing; a module lists its replicas."""
    subscription = PersonReference.subscription()
    assert subscription.events == (PersonChanged, ReplicaStates)
    assert (subscription.name, subscription.on_failure) == ("person_reference", "pass")
    assert PersonReference.subscription() is subscription
    assert [replica.__name__ for replica in replicas_in(replicas)] == ["PersonReference", "WardReference"]
    assert all(issubclass(event, Event) for event in subscription.events)
