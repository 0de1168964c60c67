"""Kept messages are tried again, in the order of their key, and have one effect, whoever tries them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncSession

from broker import Later, Newer, Permanent, clock
from broker._context import uuid7
from broker._inbox import take
from broker._renames import follow_rename
from broker._retry import CRASHES, RetryLoop
from broker._tables import attempt, inbox
from tests.broker.failing import Desk, Sold, effect, make_desk, raising


@pytest.fixture
async def url(database: Callable[..., Awaitable[str]]) -> str:
    return await database()


@pytest.fixture
async def desk(url: str) -> AsyncIterator[Desk]:
    desk = await make_desk(url)
    yield desk
    await desk.database.close()


def an_hour_later() -> None:
    clock.shift += timedelta(hours=1)


async def test_what_is_due_takes_effect_once(desk: Desk) -> None:
    """A retried message has its effect, its inbox row and no failed row any more; before it is due nothing happens."""
    await desk.fail("a", 1, Later("busy"))
    await desk.run()
    assert await desk.effects("a") == []
    an_hour_later()
    await desk.run()
    assert await desk.effects("a") == [1]
    assert await desk.rows() == []
    assert (await desk.count(inbox), await desk.held_keys(), await desk.count(attempt)) == (1, 0, 0)


async def test_successors_follow_in_order(desk: Desk) -> None:
    """What was laid behind a failed message takes effect after it, in order of arrival, before the key is free."""
    await desk.fail("a", 1, Later("busy"))
    for number in (2, 3, 4):
        await desk.hold("a", number)
    assert await desk.states("a") == ["retrying", "held", "held", "held"]
    an_hour_later()
    await desk.run()
    assert await desk.effects("a") == [1, 2, 3, 4]
    assert await desk.held_keys() == 0


async def test_a_successor_that_fails_holds_the_rest(desk: Desk) -> None:
    """The first success does not let a later message overtake one in the middle that fails."""
    desk.behaviour[2] = raising(Permanent("never"))
    await desk.fail("a", 1, Later("busy"))
    await desk.hold("a", 2)
    await desk.hold("a", 3)
    an_hour_later()
    await desk.run()
    assert await desk.effects("a") == [1]
    assert await desk.states("a") == ["dead", "held"]


async def test_another_failure_counts_and_pauses(desk: Desk) -> None:
    """A message that fails again has one attempt more, and nothing of what its handler did."""
    desk.behaviour[1] = raising(KeyError("first"), Later("second"))
    position = await desk.fail("a", 1, Later("busy"))
    assert (await desk.retry(position)).result == "failed"
    row = (await desk.rows())[0]
    assert (row.attempts, row.error, row.state) == (2, "KeyError", "retrying")
    await desk.retry(position)
    assert (await desk.rows())[0].attempts == 3
    assert (await desk.retry(position)).result == "done"


async def test_one_effect_though_the_inbox_forgot(desk: Desk) -> None:
    """The failed row itself is the memory: a redelivery is dropped while it is kept, and after it by the inbox."""
    delivery, envelope = desk.message("a", 1)
    async with desk.database.transaction() as session:
        await desk.failures.record(session, desk.subscription, delivery, envelope, Permanent("never"))
    assert await desk.consume(delivery, envelope) == "known"
    position = (await desk.rows())[0].position
    assert (await desk.retry(position)).result == "done"
    assert await desk.consume(delivery, envelope) == "known"
    assert (await desk.retry(position)).result == "gone"
    assert await desk.effects("a") == [1]


async def test_what_had_its_effect_is_closed_without_another(desk: Desk) -> None:
    """A kept message that the inbox knows already is closed."""
    delivery, envelope = desk.message("a", 1)
    await desk.consume(delivery, envelope)
    async with desk.database.transaction() as session:
        await desk.failures.record(session, desk.subscription, delivery, envelope, Permanent("given up"))
    assert (await desk.retry((await desk.rows())[0].position)).result == "known"
    assert await desk.effects("a") == [1]
    assert await desk.rows() == []


async def test_a_message_behind_another_is_not_tried(desk: Desk) -> None:
    """Not even a person makes a message overtake the one before it."""
    await desk.fail("a", 1, Permanent("never"))
    position = await desk.hold("a", 2)
    assert (await desk.retry(position)).result == "behind"
    assert await desk.effects("a") == []


async def test_a_woken_message_waits_for_those_before_it(desk: Desk) -> None:
    """A message that became due behind an open one is neither tried nor counted as tried until its turn comes."""
    await desk.fail("a", 1, Later("busy"))
    await desk.fail("a", 2, Later("busy"))
    async with desk.database.transaction() as session:
        await session.execute(text("UPDATE backbone.failed_message SET due_at = due_at - interval '1 h' WHERE sequence = 2"))
    assert await desk.loop.run_once() is False
    assert (await desk.effects("a"), await desk.count(attempt)) == ([], 0)
    an_hour_later()
    await desk.run()
    assert await desk.effects("a") == [1, 2]


async def test_newer_messages_wait_for_newer_code(desk: Desk) -> None:
    """A message of an unknown version waits, however much time passes, until code that reads it runs."""
    await desk.fail("a", 1, Newer("v3"), version=3)
    an_hour_later()
    await desk.run()
    assert await desk.states("a") == ["waiting"]
    async with desk.database.transaction() as session:
        older = "version = 2, properties = jsonb_set(properties, '{headers,cloudEvents:dataversion}', '\"2\"')"
        await session.execute(text(f"UPDATE backbone.failed_message SET {older}"))
    await desk.run()
    assert await desk.effects("a") == [1]


async def test_a_known_version_does_not_wake_itself_for_ever(desk: Desk) -> None:
    """A handler that raises Newer for what this code can read is retried with pauses."""
    await desk.fail("a", 1, Newer("so it says"))
    assert await desk.states("a") == ["retrying"]


async def test_a_broken_constraint_at_the_commit_is_the_messages_failure(desk: Desk) -> None:
    """A deferred constraint is checked before the commit, blamed on the message, and nothing of it stays."""
    async with desk.database.transaction() as session:
        await session.execute(text("ALTER TABLE effect ADD UNIQUE (number) DEFERRABLE INITIALLY DEFERRED"))
        await session.execute(insert(effect).values(id=uuid7(), key="other", number=1))
    position = await desk.fail("a", 1, Later("busy"))
    outcome = await desk.retry(position)
    assert outcome.verdict is not None
    assert "UniqueViolationError on effect_number_key" in outcome.verdict.reason
    assert await desk.effects("a") == []


async def test_a_transient_failure_is_tried_at_once(desk: Desk) -> None:
    """A connection that breaks once costs no attempt."""
    desk.behaviour[1] = raising(ConnectionResetError())
    position = await desk.fail("a", 1, Later("busy"))
    assert (await desk.retry(position)).result == "done"


async def test_what_ends_the_process_each_time_is_dead(desk: Desk) -> None:
    """Attempts that never came to an end are counted; after some the message is dead and the rest of the service lives."""
    await desk.fail("a", 1, Later("busy"))

    async def dies(event: Sold, session: AsyncSession) -> None:
        raise asyncio.CancelledError

    desk.behaviour[1] = dies
    for _ in range(CRASHES):
        an_hour_later()
        with pytest.raises(asyncio.CancelledError):
            await desk.loop.run_once()
        assert await desk.loop.run_once() is False
    an_hour_later()
    await desk.run()
    row = (await desk.rows())[0]
    assert (row.state, row.error) == ("dead", "Permanent")
    assert await desk.count(attempt) == 0


async def test_the_consumer_waits_for_a_retry_and_does_not_overtake_it(desk: Desk) -> None:
    """A new message of a key that is just being retried waits for the retry, and comes after it."""
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def waits(event: Sold, session: AsyncSession) -> None:
        inside.set()
        await go_on.wait()

    desk.behaviour[1] = waits
    position = await desk.fail("a", 1, Later("busy"))
    async with asyncio.TaskGroup() as group:
        retried = group.create_task(desk.retry(position))
        await inside.wait()
        consumed = group.create_task(desk.consume(*desk.message("a", 2)))
        await desk.blocked()
        go_on.set()
    assert (retried.result().result, consumed.result()) == ("done", "done")
    assert await desk.effects("a") == [1, 2]


async def test_what_the_consumer_lays_behind_meanwhile_is_not_forgotten(desk: Desk) -> None:
    """A message laid behind while the retry of its head waits for the key still gets its turn."""
    position = await desk.fail("a", 1, Later("busy"))
    delivery, envelope = desk.message("a", 2)
    async with asyncio.TaskGroup() as group, desk.database.transaction() as session:
        assert (await take(session, desk.subscription.name, [envelope], hold=True)).held == {envelope.id}
        group.create_task(desk.retry(position))
        await desk.blocked()
        await desk.failures.hold(session, desk.subscription, delivery, envelope)
    await desk.run()
    assert await desk.effects("a") == [1, 2]
    assert await desk.held_keys() == 0


async def test_two_at_once_have_one_effect(desk: Desk) -> None:
    """Two people, or a person and the loop, retry one message at the same time: one effect."""
    position = await desk.fail("a", 1, Later("busy"))
    an_hour_later()
    other = RetryLoop(desk.database, desk.service, desk.failures)
    await asyncio.gather(desk.retry(position), desk.retry(position), desk.loop.run_once(), other.run_once())
    assert await desk.effects("a") == [1]
    assert await desk.rows() == []


async def test_many_consumers_and_retries_keep_the_order(desk: Desk) -> None:
    """While messages fail at random, are consumed and retried by two loops, each key keeps its order and every effect."""
    keys, numbers = ["a", "b", "c"], range(1, 13)
    for number in numbers:
        if number % 3 == 0:
            desk.behaviour[number] = raising(Later("once"), KeyError("twice"))
    loops = [desk.loop, RetryLoop(desk.database, desk.service, desk.failures)]
    done = asyncio.Event()

    async def consume(key: str) -> None:
        for number in numbers:
            delivery, envelope = desk.message(key, number)
            try:
                await desk.consume(delivery, envelope)
            except (Later, KeyError) as failure:
                async with desk.database.transaction() as session:
                    await desk.failures.record(session, desk.subscription, delivery, envelope, failure)

    async def retry(loop: RetryLoop) -> None:
        while not done.is_set() or await desk.rows():
            an_hour_later()
            await loop.run_once()

    async with asyncio.TaskGroup() as group:
        for loop in loops:
            group.create_task(retry(loop))
        await asyncio.gather(*(consume(key) for key in keys))
        done.set()
    assert [await desk.effects(key) for key in keys] == [list(numbers)] * 3
    assert await desk.held_keys() == 0


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=st.lists(st.sampled_from(["fine", "later", "dead", "unexpected"]), min_size=1, max_size=6))
async def test_any_sequence_of_failures_ends_in_order(desk: Desk, plan: list[str]) -> None:
    """Whatever fails how, after time and a person's retries each message of the key has one effect, in order."""
    raised = {"later": Later("busy"), "dead": Permanent("never"), "unexpected": KeyError("oh")}
    key = str(uuid7())
    for number, fate in enumerate(plan):
        desk.behaviour[number] = raising(*([raised[fate], raised[fate]] if fate in raised else []))
        delivery, envelope = desk.message(key, number)
        try:
            await desk.consume(delivery, envelope)
        except Exception as failure:
            async with desk.database.transaction() as session:
                await desk.failures.record(session, desk.subscription, delivery, envelope, failure)
    while rows := await desk.rows():
        an_hour_later()
        await desk.run()
        await desk.retry(rows[0].position)
    assert await desk.effects(key) == list(range(len(plan)))


async def test_a_renamed_subscription_keeps_its_memory(url: str, desk: Desk) -> None:
    """Inbox, failed messages and held keys follow a rename; the new name neither repeats nor loses anything."""
    seen = desk.message("b", 1)
    await desk.consume(*seen)
    await desk.fail("a", 1, Permanent("never"))
    await desk.hold("a", 2)
    renamed = await make_desk(url, name="tally", formerly=("count",))
    for _ in range(2):
        async with renamed.database.transaction() as session:
            await follow_rename(session, renamed.subscription)
    assert await renamed.consume(*seen) == "known"
    assert await renamed.consume(*renamed.message("a", 3)) == "held"
    assert (await renamed.retry((await renamed.rows())[0].position)).result == "done"
    await renamed.run()
    assert (await renamed.effects("a"), await renamed.effects("b")) == ([1, 2, 3], [1])
    await renamed.database.close()


async def test_a_subscription_that_now_lets_others_pass_frees_what_it_held(url: str, desk: Desk) -> None:
    """With on_failure="pass" declared later, what lies behind a dead message goes on."""
    await desk.fail("a", 1, Permanent("never"))
    await desk.hold("a", 2)
    passing = await make_desk(url, on_failure="pass")
    await passing.run()
    assert await passing.effects("a") == [2]
    assert await passing.states("a") == ["dead"]
    assert await passing.consume(*passing.message("a", 3)) == "done"
    await passing.database.close()
