"""A person finds failed messages, sees how urgent they are, and lets them go without harm to the rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from broker import Later, Newer, Permanent
from broker._dead_letters import FailedMessage, Filter, discard, find, tally
from tests.broker.failing import Desk, make_desk


@pytest.fixture
async def desk(database: Callable[..., Awaitable[str]]) -> AsyncIterator[Desk]:
    desk = await make_desk(await database())
    yield desk
    await desk.database.close()


async def found(desk: Desk, with_body: bool = False, **wanted: object) -> list[FailedMessage]:
    async with desk.database.transaction() as session:
        return await find(session, Filter(**wanted), with_body=with_body)  # type: ignore[arg-type]


async def test_filters_select(desk: Desk) -> None:
    """Each filter narrows; together they all hold; a message is found by its id or its number."""
    dead = await desk.fail("a", 1, Permanent("never"))
    await desk.hold("a", 2)
    await desk.fail("b", 3, Later("busy"))
    first = (await found(desk))[0]
    assert [message.key for message in await found(desk)] == ["a", "a", "b"]
    assert [message.position for message in await found(desk, state="dead")] == [dead]
    assert len(await found(desk, key="a", subscription="count", type="shop.sold")) == 2
    assert [message.position for message in await found(desk, ids=(first.id,))] == [dead]
    assert [message.position for message in await found(desk, positions=(dead,), flow=first.flow)] == [dead]
    assert await found(desk, key="a", state="retrying") == []


async def test_what_lies_behind_is_counted(desk: Desk) -> None:
    """The head says how many wait for it; the tally says how many dead ones block."""
    await desk.fail("a", 1, Permanent("never"))
    await desk.hold("a", 2)
    await desk.hold("a", 3)
    await desk.fail("b", 1, Permanent("never"))
    assert [message.behind for message in await found(desk)] == [2, 0, 0, 0]
    async with desk.database.transaction() as session:
        counted = [(each.subscription, each.state, each.count, each.blocking) for each in await tally(session)]
    assert counted == [("count", "dead", 2, 1), ("count", "held", 2, 0)]


async def test_a_body_is_read_only_on_request(desk: Desk) -> None:
    """Body and properties stay in the database unless asked for."""
    await desk.fail("a", 1, Permanent("never"))
    message = (await found(desk))[0]
    assert (message.body, message.properties) == (None, None)
    message = (await found(desk, with_body=True))[0]
    assert message.body == b'{"item":"a","number":1}'
    assert message.properties is not None


async def test_each_state_says_what_is_next(desk: Desk) -> None:
    """Whoever looks learns whether it heals by itself."""
    await desk.fail("a", 1, Permanent("never"))
    await desk.hold("a", 2)
    await desk.fail("b", 1, Later("busy"))
    await desk.fail("c", 1, Newer("v3"), version=3)
    steps = [message.next_step for message in await found(desk)]
    assert [step.split()[0] for step in steps] == ["somebody", "goes", "is", "goes"]
    assert "deploy" in steps[3]


async def test_a_discarded_message_never_has_an_effect(desk: Desk) -> None:
    """Discarding writes the inbox row: a redelivery is dropped; what lay behind goes on, in order."""
    delivery, envelope = desk.message("a", 1)
    async with desk.database.transaction() as session:
        await desk.failures.record(session, desk.subscription, delivery, envelope, Permanent("never"))
    await desk.hold("a", 2)
    position = (await desk.rows())[0].position
    assert await discard(desk.database, position)
    assert not await discard(desk.database, position)
    assert await desk.consume(delivery, envelope) == "known"
    assert await desk.consume(*desk.message("a", 3)) == "held"
    await desk.run()
    assert await desk.effects("a") == [2, 3]
    assert await desk.held_keys() == 0


async def test_discard_and_retry_at_once_agree(desk: Desk) -> None:
    """A discard and a retry of one message at the same time: one of them wins, and the key is free."""
    position = await desk.fail("a", 1, Permanent("never"))
    let_go, outcome = await asyncio.gather(discard(desk.database, position), desk.retry(position))
    assert let_go == (outcome.result == "gone")
    assert await desk.effects("a") == ([] if let_go else [1])
    assert (await desk.rows(), await desk.held_keys()) == ([], 0)
