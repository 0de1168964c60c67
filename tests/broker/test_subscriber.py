"""Consuming from a real broker: exactly one effect, in order, whatever is stopped, cut or killed."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from multiprocessing import Pipe
from typing import Any

import pytest
from faststream import BaseMiddleware
from faststream.specification import AsyncAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from broker import _subscriber
from broker._database import Database, engine_for
from broker._subscriber import Batch, EventBroker
from broker.servers import Stack
from broker.testing import forked
from broker.testing.proxy import Proxy
from broker.testing.scratch import Databases, VirtualHosts
from tests.broker import consumer_process
from tests.broker.consuming import (
    QUEUE,
    Channel,
    Happened,
    Ledger,
    consumer,
    envelope_of,
    service_with,
    write_down,
)
from tests.waiting import until

forked.preload(consumer_process.__name__)

THINGS = 5


@pytest.fixture
async def ledger(database: Databases) -> AsyncIterator[Ledger]:
    ledger = await Ledger.at(await database())
    yield ledger
    await ledger.database.close()


@pytest.fixture
async def channel(vhost: VirtualHosts) -> AsyncIterator[Channel]:
    channel = await Channel(await vhost()).open()
    yield channel
    await channel.close()


@contextlib.asynccontextmanager
async def running(broker: EventBroker) -> AsyncIterator[EventBroker]:
    await broker.start()
    try:
        yield broker
    finally:
        await broker.stop()


def happened(number: int) -> Happened:
    return Happened(thing=f"thing-{number % THINGS}", number=number)


async def all_written(ledger: Ledger, count: int, *, within: float = 30) -> None:
    """Waits until so many effects are there, and sees that each is there once, per key in order."""

    async def written() -> bool:
        return len(await ledger.entries()) >= count

    await until(written, within=within)
    assert sorted(await ledger.entries()) == list(range(count))
    for thing in range(THINGS):
        assert await ledger.entries(f"thing-{thing}") == list(range(thing, count, THINGS))
    assert await ledger.failed() == []


async def empty(channel: Channel) -> bool:
    return await channel.depth() == 0


async def test_handles_all_in_order_and_acknowledges(ledger: Ledger, channel: Channel) -> None:
    """What is published takes effect once, in order, in batches, and nothing stays in the queue."""
    envelopes = [envelope_of(happened(number)) for number in range(1000)]
    await channel.publish(*envelopes)
    async with running(consumer(ledger, channel.amqp_url, service_with())):
        await all_written(ledger, 1000)
        assert len(ledger.effects) < 100
    assert await channel.depth() == 0


async def test_duplicates_and_reordering(ledger: Ledger, channel: Channel) -> None:
    """Messages that the publisher sends twice, and late once more out of order, have one effect."""
    envelopes = [envelope_of(happened(number)) for number in range(300)]
    await channel.publish(*(envelope for envelope in envelopes for _ in range(2)))
    await channel.publish(*reversed(envelopes))
    async with running(consumer(ledger, channel.amqp_url, service_with())):
        await all_written(ledger, 300)

        async def all_seen() -> bool:
            return sum(effect.duplicates + len(effect.handled) for effect in ledger.effects) > 300 and await empty(channel)

        await until(all_seen)
    assert await ledger.inbox() == 300


async def test_middlewares_run_once_per_batch(ledger: Ledger, channel: Channel) -> None:
    """A FastStream middleware sees each batch once, with all its deliveries."""
    seen: list[Batch] = []

    class Counting(BaseMiddleware[Any, Any]):
        async def consume_scope(self, call_next: Any, msg: Any) -> Any:
            seen.append(msg.body)
            return await call_next(msg)

    await channel.publish(*(envelope_of(happened(number)) for number in range(100)))
    broker = consumer(ledger, channel.amqp_url, service_with(), middlewares=[Counting])
    async with running(broker):
        await all_written(ledger, 100)
    assert len(seen) == len(ledger.effects)
    assert sum(len(batch.deliveries) for batch in seen) == 100
    assert all(batch.processed and batch.subscription == "write_down" for batch in seen)


async def test_asyncapi_lists_the_queue(ledger: Ledger) -> None:
    """FastStream's AsyncAPI document has the subscription's queue, its exchange and the schema of its events."""
    broker = consumer(ledger, "amqp://nobody@127.0.0.1:1/", service_with())
    document = json.loads(AsyncAPI(broker).to_specification().to_json())
    (found,) = document["channels"].values()
    assert found["address"] == "thing.happened"
    assert found["bindings"]["amqp"]["queue"]["name"] == QUEUE
    assert "thing.happened" in document["components"]["schemas"]


async def test_clean_stop_hands_over_in_order(ledger: Ledger, channel: Channel, database: Databases) -> None:
    """When one of two copies stops in the middle, the other goes on exactly behind it."""
    copies = [Ledger(Database(engine_for(ledger.url), "ledger"), ledger.url) for _ in range(2)]
    first, second = (consumer(copy, channel.amqp_url, service_with(), batch=20) for copy in copies)
    await channel.publish(*(envelope_of(happened(number)) for number in range(1000)))
    async with running(second):
        await first.start()

        async def begun() -> bool:
            return len(await ledger.entries()) > 100

        await until(begun)
        at_work, standing_by = (first, second) if first.health()[0].delivered else (second, first)
        await at_work.stop()
        await all_written(ledger, 1000)
        assert all(copy.effects for copy in copies)
        await standing_by.stop()
    for copy in copies:
        await copy.database.close()


async def test_comes_back_after_the_connection_was_cut(ledger: Ledger, channel: Channel) -> None:
    """Connections that are cut in the middle of batches double, lose and reorder nothing."""
    async with Proxy(channel.amqp_url) as proxy:
        await channel.publish(*(envelope_of(happened(number)) for number in range(1000)))
        async with running(consumer(ledger, proxy.url, service_with(), batch=20)) as broker:
            for cut in range(1, 3):

                async def advanced(least: int = cut * 300) -> bool:
                    return len(await ledger.entries()) > least

                await until(advanced)
                assert proxy.cut()
            await all_written(ledger, 1000)
            assert broker.is_connected


async def test_a_look_that_is_not_answered_in_time(
    ledger: Ledger, channel: Channel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever asks gets no depths; the question stays under way, so that nothing is closed with a warning, nor at a stop."""
    monkeypatch.setattr(_subscriber, "LOOK", 0.5)
    async with Proxy(channel.amqp_url) as proxy:
        broker = consumer(ledger, proxy.url, service_with())
        async with running(broker):

            async def seen() -> bool:
                return await broker.depths([QUEUE]) is not None

            await until(seen)
            proxy.hold()
            assert await broker.depths([QUEUE]) is None
            stop = asyncio.create_task(broker.stop())
            proxy.hold(False)
            await stop
    assert [record.getMessage() for record in caplog.records if "Closing channel" in record.getMessage()] == []


async def test_starts_without_the_broker(ledger: Ledger, channel: Channel) -> None:
    """Starting and stopping take no broker; consuming begins when it comes."""
    async with Proxy(channel.amqp_url) as proxy:
        proxy.refuse()
        async with asyncio.timeout(5), running(consumer(ledger, proxy.url, service_with())) as broker:
            assert not broker.is_connected
        await channel.publish(envelope_of(happened(0)))
        async with running(consumer(ledger, proxy.url, service_with())):
            proxy.refuse(False)
            await all_written(ledger, 1)


async def test_comes_back_when_its_queue_was_missing(ledger: Ledger, channel: Channel) -> None:
    """A consumer that the broker cancels, because its queue is deleted, consumes again once the queue is there."""
    async with running(consumer(ledger, channel.amqp_url, service_with())) as broker:
        await channel.publish(envelope_of(happened(0)))
        await all_written(ledger, 1)
        await channel.delete_queue()

        async def troubled() -> bool:
            return broker.health()[0].trouble == "ChannelNotFoundEntity"

        await until(troubled)
        await channel.make_queue()
        await channel.publish(envelope_of(happened(1)))
        await all_written(ledger, 2)
        assert broker.health()[0].registered


async def test_waits_for_the_database(ledger: Ledger, channel: Channel) -> None:
    """While the database is away the messages are kept; with a second copy standing by, order holds all the same."""
    async with Proxy(ledger.url) as proxy:
        copies = [Ledger(Database(engine_for(proxy.url), "ledger"), proxy.url) for _ in range(2)]
        brokers = [consumer(copy, channel.amqp_url, service_with(), batch=20) for copy in copies]
        await channel.publish(*(envelope_of(happened(number)) for number in range(500)))
        async with running(brokers[0]), running(brokers[1]):

            async def begun() -> bool:
                return len(await ledger.entries()) > 50

            async def noticed() -> bool:
                return any(broker.health()[0].trouble is not None for broker in brokers)

            await until(begun)
            proxy.refuse()
            await until(noticed)
            proxy.refuse(False)
            await all_written(ledger, 500)
        for copy in copies:
            await copy.database.close()


async def test_gives_the_messages_back_when_the_database_stays_away(ledger: Ledger, channel: Channel) -> None:
    """After a while without the database the channel is closed, and everything is in the queue again."""
    await channel.publish(*(envelope_of(happened(number)) for number in range(30)))
    fail = asyncio.Event()

    async def unless_away(event: Happened, session: AsyncSession) -> None:
        await write_down(event, session)
        if not fail.is_set():
            fail.set()
            proxy.refuse()

    async with Proxy(ledger.url) as proxy:
        away = Ledger(Database(engine_for(proxy.url), "ledger"), proxy.url)
        broker = consumer(away, channel.amqp_url, service_with(unless_away), patience=0.2)
        async with running(broker):
            await fail.wait()

            async def given_back() -> bool:
                return await channel.depth() == 30 and not broker.health()[0].registered

            await until(given_back)
            proxy.refuse(False)
            await all_written(ledger, 30)
        await away.database.close()


class Copy:
    """A consumer in a process of its own."""

    def __init__(self, ledger: Ledger, channel: Channel, killer: int = -2) -> None:
        self._listener, teller = Pipe(duplex=False)
        self._process = forked.start(consumer_process.main, ledger.url, channel.amqp_url, killer=killer, teller=teller)

    async def told(self) -> str:
        """What it says next."""
        return str(await asyncio.to_thread(self._listener.recv))

    async def ended(self) -> None:
        """Returns when it has ended by itself."""
        await asyncio.to_thread(self._process.join)

    async def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        await self.ended()


async def test_killed_in_mid_batch(ledger: Ledger, channel: Channel) -> None:
    """A consumer killed in the middle of a batch, again and again, leaves no half effect and no second one."""
    blocker = Happened(thing="blocker", number=-1)
    envelopes = [envelope_of(happened(number)) for number in range(300)]
    await channel.publish(*envelopes[:250], envelope_of(blocker), *envelopes[250:])
    for _ in range(2):
        copy = Copy(ledger, channel)
        assert await copy.told() == "in the middle"
        await copy.kill()
    async with ledger.database.transaction() as session:
        await session.execute(text("INSERT INTO singular VALUES (1)"))
    copy = Copy(ledger, channel)

    async def written() -> bool:
        return len(await ledger.entries()) == 301

    await until(written)
    await copy.kill()
    assert sorted(await ledger.entries()) == list(range(-1, 300))
    for thing in range(THINGS):
        assert await ledger.entries(f"thing-{thing}") == list(range(thing, 300, THINGS))


@pytest.mark.timeout(300)
async def test_killed_again_and_again(ledger: Ledger, channel: Channel, kills: Callable[[int], int]) -> None:
    """Of two copies one is always killed while it works; the other goes on, and nothing is lost, doubled or reordered."""
    rounds, step = kills(20), 50
    await channel.publish(*(envelope_of(happened(number)) for number in range(rounds * step)))
    copies = deque([Copy(ledger, channel), Copy(ledger, channel)])
    for round_ in range(rounds):

        async def advanced(least: int = round_ * step) -> bool:
            return await ledger.inbox() > least

        await until(advanced, within=60)
        copies.append(Copy(ledger, channel))
        await copies.popleft().kill()
    await all_written(ledger, rounds * step, within=60)
    for copy in copies:
        await copy.kill()


@pytest.mark.parametrize("victim", ["rabbitmq", "postgres"])
async def test_servers_killed_under_load(own_stack: Stack, victim: str, kills: Callable[[int], int]) -> None:
    """When a server is killed while two copies consume, they come back by themselves; nothing is lost, doubled or reordered."""
    server, rounds, step = getattr(own_stack, victim), kills(1), 300
    databases, hosts = Databases(own_stack.servers.postgres_url), VirtualHosts(own_stack.servers)
    ledger = await Ledger.at(await databases())
    channel = await Channel(await hosts()).open()
    await channel.publish(*(envelope_of(happened(number)) for number in range((rounds + 1) * step)))
    copies = [consumer(ledger, channel.amqp_url, service_with(), batch=10) for _ in range(2)]
    async with running(copies[0]), running(copies[1]):
        for round_ in range(rounds):

            async def advanced(least: int = round_ * step) -> bool:
                return await ledger.inbox() > least

            await until(advanced, within=90)
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
        await all_written(ledger, (rounds + 1) * step, within=90)
    await ledger.database.close()
    await databases.drop()
    await hosts.drop()


async def test_a_killer_costs_one_dead_letter(ledger: Ledger, channel: Channel) -> None:
    """Of a thousand messages, the one that ends the process each time is dead; no other is, and none overtakes it."""
    killer = 437
    await channel.publish(*(envelope_of(happened(number)) for number in range(1000)))
    deaths = 0

    async def all_settled() -> bool:
        return await ledger.inbox() + len(await ledger.failed()) == 1000

    while True:
        copy = Copy(ledger, channel, killer)
        ended, settled = asyncio.create_task(copy.ended()), asyncio.create_task(until(all_settled, within=60))
        await asyncio.wait({ended, settled}, return_when=asyncio.FIRST_COMPLETED)
        if settled.done():
            break
        settled.cancel()
        deaths += 1
    await copy.kill()
    await ended
    held = len(range(killer + THINGS, 1000, THINGS))
    assert sorted(state for state, _ in await ledger.failed()) == ["dead"] + ["held"] * held
    assert await ledger.rows("SELECT key FROM backbone.failed_message WHERE state = 'dead'") == [f"thing-{killer % THINGS}"]
    assert await ledger.entries(f"thing-{killer % THINGS}") == list(range(killer % THINGS, killer, THINGS))
    assert await ledger.inbox() == 1000 - 1 - held
    assert 3 <= deaths <= 6
