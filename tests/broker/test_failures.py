"""Failed messages are kept once, hold their key, and wait for what they name without losing its arrival."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import BigInteger, Column, Table, Uuid, insert, text

from broker import Later, Newer, NotYet, Permanent
from broker._context import uuid7
from broker._failures import wake_waiting
from broker._inbox import Taken, take
from broker._publishing import lock_number
from tests.broker.failing import Desk, delivery_of, tables

patient_table = Table(
    "patient_reference", tables, Column("id", Uuid, primary_key=True), Column("state_version", BigInteger, server_default="1")
)


class Patient:
    """Stands for a replica: as much of one as a wait needs."""

    __tablename__ = "patient_reference"
    __table__ = patient_table


async def test_each_failure_has_its_state(desk: Desk) -> None:
    """Later is retried, NotYet and Newer wait, Permanent is dead, and the unexpected is retried until it is dead."""
    for number, (exception, attempts, state) in enumerate(
        [
            (Later("busy"), 99, "retrying"),
            (NotYet(Patient, uuid7()), 1, "waiting"),  # type: ignore[arg-type]
            (Permanent("never"), 1, "dead"),
            (KeyError("a name"), 1, "retrying"),
            (KeyError("a name"), 10, "dead"),
        ]
    ):
        await desk.fail(f"k{number}", number, exception, attempts=attempts)
        assert await desk.states(f"k{number}") == [state]
    await desk.fail("newer", 1, Newer("v3"), version=3)
    assert await desk.states("newer") == ["waiting"]


async def test_a_message_is_kept_once(desk: Desk) -> None:
    """The same message recorded twice has one row, and is known."""
    delivery, envelope = desk.message("a", 1)
    for _ in range(2):
        async with desk.database.transaction() as session:
            await desk.failures.record(session, desk.subscription, delivery, envelope, Permanent("never"))
            assert await desk.failures.known(session, desk.subscription, [envelope.id, uuid7()]) == {envelope.id}
    assert await desk.states("a") == ["dead"]


async def test_a_message_without_an_envelope_is_kept_once_and_holds_nothing(desk: Desk) -> None:
    """Delivered again, a message without an id does not multiply; another body is another message; no id is invented."""
    honest, _ = desk.message("a", 1)
    nameless = replace(honest, message_id=None, headers={"x-delivery-count": 1, "odd": b"\x00\xff", "list": [float("nan")]})
    again = replace(nameless, headers={**nameless.headers, "x-delivery-count": 7})
    for delivery in (nameless, again, replace(nameless, body=b"other")):
        async with desk.database.transaction() as session:
            await desk.failures.record(session, desk.subscription, delivery, None, Permanent("no message_id"))
    assert [(row.id, row.state) for row in await desk.rows()] == [(None, "dead")] * 2
    assert await desk.consume(*desk.message("a", 2)) == "done"


async def test_only_open_keys_are_held(desk: Desk) -> None:
    """A failed message holds its own key, no other, and none where the subscription lets later ones pass."""
    await desk.fail("a", 1, Permanent("never"))
    (_, next_of_a), (_, next_of_b) = (desk.message(key, 2) for key in ("a", "b"))
    async with desk.database.transaction() as session:
        taken = await take(session, desk.subscription.name, [next_of_a, next_of_b], hold=True)
        assert taken == Taken(frozenset({next_of_b.id}), frozenset({next_of_a.id}))
        assert (await take(session, desk.subscription.name, [next_of_a], hold=False)).free == {next_of_a.id}


async def test_a_held_message_that_took_effect_is_not_new(desk: Desk) -> None:
    """Delivered again, a message that took effect is not laid behind a later one of its key that failed."""
    first = desk.message("a", 1)
    assert await desk.consume(*first) == "done"
    await desk.fail("a", 2, Permanent("never"))
    assert await desk.consume(*first) == "known"
    assert await desk.states("a") == ["dead"]


async def test_a_held_key_without_messages_holds_nothing(desk: Desk) -> None:
    """A held key that lost its messages to a replica's newer state lays nothing behind nobody."""
    position = await desk.fail("a", 1, Permanent("never"))
    async with desk.database.transaction() as session:
        await session.execute(text("DELETE FROM backbone.failed_message WHERE position = :p"), {"p": position})
    assert await desk.consume(*desk.message("a", 2)) == "done"


async def test_a_wait_whose_row_came_meanwhile_is_due_at_once(desk: Desk) -> None:
    """The replica's row arrives between the handler's look and the record: the message is not left waiting."""
    key = uuid7()
    async with desk.database.transaction() as session:
        await session.execute(insert(patient_table).values(id=key))
    await desk.fail("a", 1, NotYet(Patient, key))  # type: ignore[arg-type]
    assert await desk.states("a") == ["retrying"]


@pytest.mark.parametrize("first", ["the replica", "the consumer"])
async def test_no_wake_up_is_lost(desk: Desk, first: str) -> None:
    """Whichever of the replica's upsert and the record of the wait comes first, the message ends up due."""
    key = uuid7()
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def arrive(leads: bool) -> None:
        async with desk.database.transaction() as session:
            shared = {"number": lock_number("replica", "patient_reference")}
            await session.execute(text("SELECT pg_advisory_xact_lock_shared(:number)"), shared)
            await session.execute(insert(patient_table).values(id=key))
            await wake_waiting(session, "patient_reference", [str(key)])
            if leads:
                inside.set()
                await go_on.wait()

    async def wait(leads: bool) -> None:
        delivery, envelope = desk.message("a", 1)
        async with desk.database.transaction() as session:
            await desk.failures.record(session, desk.subscription, delivery, envelope, NotYet(Patient, key))  # type: ignore[arg-type]
            if leads:
                inside.set()
                await go_on.wait()

    steps = (arrive, wait) if first == "the replica" else (wait, arrive)
    async with asyncio.TaskGroup() as group:
        group.create_task(steps[0](True))
        await inside.wait()
        group.create_task(steps[1](False))
        await desk.blocked()
        go_on.set()
    assert await desk.states("a") == ["retrying"]


async def test_waking_names_replica_and_key(desk: Desk) -> None:
    """Only what waits for this key of this replica is woken."""
    keys = [uuid7(), uuid7()]
    for key in keys:
        await desk.fail(str(key), 1, NotYet(Patient, key))  # type: ignore[arg-type]
    async with desk.database.transaction() as session:
        assert await wake_waiting(session, "another_reference", [str(keys[0])]) == 0
        assert await wake_waiting(session, "patient_reference", [str(keys[0])]) == 1
    assert await desk.states(str(keys[0])) == ["retrying"]
    assert await desk.states(str(keys[1])) == ["waiting"]


async def test_what_is_stored_is_what_was_delivered(desk: Desk) -> None:
    """A kept message can be delivered again as it came."""
    delivery, envelope = desk.message("a", 1)
    async with desk.database.transaction() as session:
        await desk.failures.record(session, desk.subscription, delivery, envelope, Later("busy"))
    row = (await desk.rows())[0]
    stored = type(delivery).stored(row.exchange, row.routing_key, row.properties, row.body)
    assert stored.envelope() == envelope
    assert stored == replace(delivery_of(envelope), tag=0)
