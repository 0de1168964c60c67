"""A batch is one transaction; only what fails alone is blamed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from broker._attempts import Attempts
from broker._batch import NARROW
from broker._blame import DatabaseOutOfReach
from broker._context import uuid7
from broker._database import Database, engine_for
from broker._publishing import publish
from broker.errors import Permanent
from broker.testing.scratch import Databases
from tests.broker.consuming import (
    Entry,
    Happened,
    Ledger,
    Referring,
    Singular,
    Written,
    deliveries_of,
    delivery_of,
    envelope_of,
    service_with,
    write_down,
)

POISON = 37
EVENTS = 100


@pytest.fixture
async def ledger(database: Databases) -> AsyncIterator[Ledger]:
    ledger = await Ledger.at(await database())
    yield ledger
    await ledger.database.close()


def happened(number: int, *, things: int = 10) -> Happened:
    return Happened(thing=f"thing-{number % things}", number=number)


async def test_takes_effect_once_in_queue_order(ledger: Ledger) -> None:
    """A batch is handled in queue order in one transaction, and each event is in the inbox once."""
    await ledger.process(write_down, deliveries_of(happened(number) for number in range(EVENTS)))
    assert await ledger.entries() == list(range(EVENTS))
    assert await ledger.inbox() == EVENTS
    assert len(ledger.effects) == 1


async def test_drops_duplicates(ledger: Ledger) -> None:
    """A message delivered twice, in one batch or in the next, has one effect."""
    deliveries = deliveries_of(happened(number) for number in range(10))
    await ledger.process(write_down, [*deliveries, *reversed(deliveries)])
    await ledger.process(write_down, deliveries)
    assert await ledger.entries() == list(range(10))


async def test_carries_the_flow_on(ledger: Ledger) -> None:
    """What a handler publishes belongs to the flow of the message it handled, and names it as its cause."""

    async def answer(event: Happened, session: AsyncSession) -> None:
        publish(session, Written(thing=event.thing))

    envelopes = [envelope_of(happened(number)) for number in range(3)]
    await ledger.process(answer, [delivery_of(envelope) for envelope in envelopes])
    written = await ledger.rows("SELECT key, flow, cause FROM backbone.outbox ORDER BY position")
    assert written == [(envelope.subject, envelope.flow, envelope.id) for envelope in envelopes]


async def fail_in_handler(event: Happened, session: AsyncSession) -> None:
    await write_down(event, session)
    if event.number == POISON:
        raise Permanent("no")


async def fail_in_flush(event: Happened, session: AsyncSession) -> None:
    await write_down(event, session)
    if event.number == POISON:
        session.add(Entry(thing=None, number=event.number))


async def fail_at_deferred_constraint(event: Happened, session: AsyncSession) -> None:
    await write_down(event, session)
    if event.number == POISON:
        session.add(Referring(number=event.number))


async def fail_at_commit(event: Happened, session: AsyncSession) -> None:
    await write_down(event, session)
    publish(session, Written(thing=event.thing, note="x" * (300_000 if event.number == POISON else 1)))


async def swallow_in_statement(event: Happened, session: AsyncSession) -> None:
    await write_down(event, session)
    if event.number == POISON:
        with contextlib.suppress(IntegrityError):
            await session.execute(insert(Entry).values(thing=None, number=event.number))


async def swallow_in_flush(event: Happened, session: AsyncSession) -> None:
    await write_down(event, session)
    if event.number == POISON:
        with contextlib.suppress(IntegrityError):
            session.add(Entry(thing=None, number=event.number))
            await session.flush()


async def commit(event: Happened, session: AsyncSession) -> None:
    await write_down(event, session)
    if event.number == POISON:
        await session.commit()


@pytest.mark.parametrize("events", [EVENTS, NARROW, 1])
@pytest.mark.parametrize(
    "handler",
    [
        fail_in_handler,
        fail_in_flush,
        fail_at_deferred_constraint,
        fail_at_commit,
        swallow_in_statement,
        swallow_in_flush,
        commit,
    ],
)
async def test_blames_the_guilty_alone(ledger: Ledger, handler: object, events: int) -> None:
    """However one event fails, it alone is a failed message, and all others take effect in their order."""
    numbers = range(POISON - events // 3, POISON - events // 3 + events)
    await ledger.process(handler, deliveries_of(happened(n, things=1000) for n in numbers))  # type: ignore[arg-type]
    assert await ledger.entries() == [number for number in numbers if number != POISON]
    assert len(await ledger.failed()) == 1
    assert await ledger.rows("SELECT key FROM backbone.failed_message") == [f"thing-{POISON}"]
    assert await ledger.inbox() == events - 1


async def test_one_poison_is_cheap(ledger: Ledger) -> None:
    """One poison in a batch of two hundred costs three transactions: what comes before it, itself, and what comes after it."""
    await ledger.process(fail_in_handler, deliveries_of(happened(number, things=1000) for number in range(200)))
    assert [len(effect.handled) for effect in ledger.effects] == [POISON, 0, 199 - POISON]


async def test_a_poison_in_the_flush_is_found_in_a_few_steps(ledger: Ledger) -> None:
    """What fails outside any handler's call is looked for by halves, not one event after the other."""
    await ledger.process(fail_in_flush, deliveries_of(happened(number, things=1000) for number in range(200)))
    assert len([effect for effect in ledger.effects if effect.handled]) < 30


async def test_nothing_but_poison_does_not_cost_the_square(ledger: Ledger) -> None:
    """Where every event is poison, each is tried a few times at most, however many there are."""
    calls = 0

    async def refuse(event: Happened, session: AsyncSession) -> None:
        nonlocal calls
        calls += 1
        raise Permanent("poison")

    await ledger.process(refuse, deliveries_of(happened(number, things=1000) for number in range(200)))
    assert len(await ledger.failed()) == 200
    assert calls < 600


async def test_lays_successors_behind(ledger: Ledger) -> None:
    """Later messages of a failed one's key are held, in this batch and in the next; other keys go on."""
    await ledger.process(fail_in_handler, deliveries_of(happened(number) for number in range(50)))
    await ledger.process(fail_in_handler, deliveries_of(happened(number) for number in range(50, 60)))
    assert await ledger.entries("thing-7") == [7, 17, 27]
    assert await ledger.entries("thing-8") == [8, 18, 28, 38, 48, 58]
    assert [state for state, _ in await ledger.failed()] == ["dead", "held", "held"]


async def test_lets_successors_pass(ledger: Ledger) -> None:
    """With on_failure=pass, later messages of the key go on."""
    await ledger.process(fail_in_handler, deliveries_of(happened(number) for number in range(50)), on_failure="pass")
    assert await ledger.entries("thing-7") == [7, 17, 27, 47]
    assert [state for state, _ in await ledger.failed()] == ["dead"]


async def test_finds_many_guilty(ledger: Ledger) -> None:
    """When every second event fails, each of the others takes effect all the same."""

    async def fail_often(event: Happened, session: AsyncSession) -> None:
        await write_down(event, session)
        if event.number % 2:
            raise Permanent("odd")

    await ledger.process(fail_often, deliveries_of(happened(number, things=1000) for number in range(60)))
    assert await ledger.entries() == list(range(0, 60, 2))
    assert len(await ledger.failed()) == 30


async def test_leaves_deferred_constraints_deferred(ledger: Ledger) -> None:
    """A handler that counts on a deferred constraint is not blamed while another one is looked for."""

    async def refer_first(event: Happened, session: AsyncSession) -> None:
        if event.number == POISON:
            raise Permanent("no")
        await session.execute(insert(Referring).values(number=event.number))
        await session.execute(insert(Singular).values(number=event.number))

    await ledger.process(refer_first, deliveries_of(happened(number, things=1000) for number in range(POISON - 5, POISON + 5)))
    assert len(await ledger.failed()) == 1
    assert await ledger.rows("SELECT count(*) FROM referring") == [9]


async def test_deadlock_blames_nobody(ledger: Ledger) -> None:
    """A deadlock with a command is nobody's fault: the batch is taken again and all of it takes effect."""
    meet, command = asyncio.Barrier(2), asyncio.Event()

    async def lock(session: AsyncSession, number: int) -> None:
        await session.execute(text("SELECT FROM singular WHERE number = :number FOR UPDATE"), {"number": number})

    async def lock_both(event: Happened, session: AsyncSession) -> None:
        await write_down(event, session)
        await session.execute(text("SET LOCAL deadlock_timeout = '50ms'"))
        await lock(session, 1)
        if not command.is_set():
            await meet.wait()
        await lock(session, 2)

    async def run_command() -> None:
        async with ledger.database.transaction() as session:
            await session.execute(text("SET LOCAL deadlock_timeout = '30s'"))
            await lock(session, 2)
            await meet.wait()
            command.set()
            await lock(session, 1)

    async with ledger.database.transaction() as session:
        session.add_all([Singular(number=1), Singular(number=2)])
    running = asyncio.create_task(run_command())
    await ledger.process(lock_both, deliveries_of(happened(number) for number in range(5)))
    await running
    assert await ledger.entries() == [0, 1, 2, 3, 4]
    assert await ledger.failed() == []


async def test_keeps_all_while_the_database_is_away(ledger: Ledger) -> None:
    """When the database goes away, nothing is blamed; taken again when it is back, each event has one effect."""
    deliveries = deliveries_of(happened(number) for number in range(20))
    name = ledger.url.rpartition("/")[2]
    admin = Database(engine_for(ledger.url.removesuffix(name) + "postgres"), None)

    async def forbid(event: Happened, session: AsyncSession) -> None:
        await write_down(event, session)
        if event.number == 10 and not forbidden:
            forbidden.append(True)
            await _allow(admin, name, False)

    forbidden: list[bool] = []
    processor = ledger.processor(service_with(forbid))
    with pytest.raises(DatabaseOutOfReach):
        await processor.process(deliveries)
    await _allow(admin, name, True)
    await processor.process(deliveries)
    await admin.close()
    assert await ledger.entries() == list(range(20))
    assert await ledger.failed() == []


async def _allow(admin: Database, name: str, allowed: bool) -> None:
    async with admin.engine.connect() as connection:
        free = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await free.execute(text(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS {allowed}"))
        if not allowed:
            await free.execute(
                text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"), {"name": name}
            )


async def test_gives_up_what_ends_the_process(ledger: Ledger) -> None:
    """A message that ended the process three times while it was handled alone is dead, and its key is held."""
    killer, after = envelope_of(happened(POISON)), envelope_of(happened(POISON))
    handled: list[int] = []

    async def note(event: Happened, session: AsyncSession) -> None:
        handled.append(event.number)

    for _ in range(Attempts.LIMIT):
        assert await Attempts(ledger.database, "write_down").begin(killer.id)
    await ledger.process(note, [delivery_of(killer, delivery_count=5), delivery_of(after, delivery_count=5)])
    assert handled == []
    assert [state for state, _ in await ledger.failed()] == ["dead", "held"]
    assert await ledger.rows("SELECT count(*) FROM backbone.attempt") == [0]


async def test_takes_suspects_alone(ledger: Ledger) -> None:
    """A suspect is handled with its attempt committed before, which is forgotten when it took effect."""
    seen: list[list[object]] = []

    async def look(event: Happened, session: AsyncSession) -> None:
        await write_down(event, session)
        seen.append(await ledger.rows("SELECT count FROM backbone.attempt"))

    deliveries = deliveries_of(happened(number) for number in range(4))
    await ledger.process(look, [replace(one, delivery_count=2) for one in deliveries[:2]] + deliveries[2:])
    assert seen == [[1], [1], [], []]
    assert await ledger.entries() == [0, 1, 2, 3]


async def test_forged_events_have_no_effect(ledger: Ledger) -> None:
    """An event that came by another service's exchange is dead, holds nothing, and cannot take a true one's place."""
    true = envelope_of(happened(1))
    await ledger.process(write_down, [delivery_of(true, exchange="billing"), delivery_of(true)])
    assert await ledger.entries() == [1]
    assert await ledger.rows("SELECT state, id, reason FROM backbone.failed_message") == [
        (
            "dead",
            None,
            "claims to be thing.happened of lab but arrived by way of exchange 'billing' with routing key 'thing.happened'",
        )
    ]


@pytest.mark.parametrize(
    ("changed", "state"),
    [
        ({"body": b"{"}, "dead"),
        ({"body": b'{"thing": "thing-1", "number": "secret"}'}, "dead"),
        ({"body": b'{"thing": "another", "number": 1}'}, "dead"),
        ({"body": b"\xff\x00"}, "dead"),
        ({"version": 3}, "waiting"),
        ({"version": 1}, "dead"),
        ({"version": 2**40}, "dead"),
        ({"type": "thing.invented"}, "waiting"),
        ({"subject": "a\0b"}, "dead"),
        ({"sequence": 2**70}, "dead"),
    ],
)
async def test_bad_input_is_kept(ledger: Ledger, changed: dict[str, Any], state: str) -> None:
    """A message that cannot be read is kept once, without its values in the reason, and its neighbours take effect."""
    bad = envelope_of(happened(1), **changed)
    deliveries = [*deliveries_of([happened(0)]), delivery_of(bad), *deliveries_of([happened(2)])]
    await ledger.process(write_down, deliveries)
    await ledger.process(write_down, deliveries)
    assert await ledger.entries() == [0, 2]
    assert [kept for kept, _ in await ledger.failed()] == [state]
    assert "secret" not in (await ledger.rows("SELECT reason FROM backbone.failed_message"))[0]


async def test_a_message_without_an_id_is_kept(ledger: Ledger) -> None:
    """A message without an id is a failed message, and is given no invented one."""
    await ledger.process(write_down, [delivery_of(envelope_of(happened(1)), message_id=None)])
    assert await ledger.rows("SELECT state, id FROM backbone.failed_message") == [("dead", None)]


async def test_another_copy_at_once_doubles_nothing(ledger: Ledger) -> None:
    """Two processes that hold the same deliveries give each message one effect."""
    deliveries = deliveries_of(happened(number) for number in range(EVENTS))
    first, second = (ledger.processor(service_with()) for _ in range(2))
    await asyncio.gather(first.process(deliveries), second.process(deliveries))
    assert sorted(await ledger.entries()) == list(range(EVENTS))
    assert await ledger.failed() == []


async def test_a_known_id_is_known_under_any_key(ledger: Ledger) -> None:
    """A dead message that is delivered again stays one dead message."""
    dead = delivery_of(envelope_of(happened(POISON), id_=uuid7()))
    for _ in range(3):
        await ledger.process(fail_in_handler, [dead])
    assert [state for state, _ in await ledger.failed()] == ["dead"]
