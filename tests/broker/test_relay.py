"""The relay on real servers: everything arrives, in order per key, whatever is cut or killed."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import aiormq
import asyncpg
import pytest
from aiormq.abc import AbstractChannel, DeliveredMessage

from broker._database import Database, engine_for
from broker._publishing import publish
from broker._relay import Relay
from broker._settings import Settings
from broker._wakeup import Notifier
from broker.servers import Servers
from broker.testing import forked
from broker.testing.proxy import Proxy
from contracts.event import Event
from tests.broker import relay_process
from tests.waiting import until

forked.preload(relay_process.__name__)

SUBSCRIBED = {"parcel.moved": frozenset({"shop.follow"}), "parcel.noticed": frozenset()}


class Moved(Event, name="parcel.moved", version=1, key="parcel_id", publisher="post"):
    """A parcel was moved."""

    parcel_id: UUID
    step: int


class Noticed(Event, name="parcel.noticed", version=1, key="parcel_id", publisher="post"):
    """Nobody subscribes to this."""

    parcel_id: UUID


class Office:
    """A publisher's database and virtual host, with a queue `shop.follow` that a subscriber would read."""

    def __init__(self, database_url: str, amqp_url: str, servers: Servers) -> None:
        self.settings = Settings(
            database_url=database_url,
            amqp_url=amqp_url,
            management_url=servers.management_url,
            journal=True,
            relay_batch=50,
        )
        self.database = Database(engine_for(database_url), "post")
        self._stack = contextlib.AsyncExitStack()

    async def open(self) -> None:
        self.watcher = await asyncpg.connect(self.settings.database_url)
        self._stack.push_async_callback(self.watcher.close)
        self._stack.push_async_callback(self.database.close)
        connection = await aiormq.connect(self.settings.amqp_url)
        self._stack.push_async_callback(connection.close)
        self.channel: AbstractChannel = await connection.channel()
        await self.channel.exchange_declare("post", exchange_type="topic", durable=True)
        await self.channel.queue_declare("shop.follow", durable=True, arguments={"x-queue-type": "quorum"})

    async def bind(self) -> None:
        await self.channel.queue_bind("shop.follow", "post", "parcel.moved")

    async def publish(self, *events: Event) -> None:
        async with self.database.transaction() as session:
            for event in events:
                publish(session, event)

    def relay(self, cls: type[Relay] = Relay) -> Relay:
        relay = cls("post", self.settings, subscribed=SUBSCRIBED)
        self._stack.push_async_callback(relay.stop)
        return relay

    async def is_empty(self) -> bool:
        return not await self.watcher.fetchval("SELECT EXISTS (SELECT FROM backbone.outbox)")

    async def depth(self) -> int:
        declared = await self.channel.queue_declare("shop.follow", passive=True)
        return declared.message_count or 0

    async def arrived(self) -> list[Moved]:
        """Everything in the queue, in its order."""
        bodies: asyncio.Queue[bytes] = asyncio.Queue()

        async def take(message: DeliveredMessage) -> None:
            bodies.put_nowait(message.body)

        count = await self.depth()
        consuming = await self.channel.basic_consume("shop.follow", take, no_ack=True)
        arrived = [Moved.read(await bodies.get(), 1) for _ in range(count)]
        await self.channel.basic_cancel(str(consuming.consumer_tag))
        return arrived

    async def close(self) -> None:
        await self._stack.aclose()


@pytest.fixture
async def office(database: Any, vhost: Any, servers: Servers) -> AsyncIterator[Office]:
    """The service `post`, whose subscriber's queue is bound."""
    made = Office(await database(), await vhost(), servers)
    await made.open()
    await made.bind()
    yield made
    await made.close()


def parcels(count: int, steps: int) -> list[list[Moved]]:
    """Transactions in which `count` parcels move `steps` times, their moves interleaved."""
    keys = [uuid4() for _ in range(count)]
    return [[Moved(parcel_id=key, step=step) for key in keys] for step in range(steps)]


def effects(arrived: list[Moved]) -> dict[UUID, list[int]]:
    """Per parcel the steps in the order of their first arrival: what a subscriber that drops duplicates sees."""
    seen: dict[UUID, dict[int, None]] = {}
    for moved in arrived:
        seen.setdefault(moved.parcel_id, {})[moved.step] = None
    return {key: list(steps) for key, steps in seen.items()}


def in_order(transactions: list[list[Moved]]) -> dict[UUID, list[int]]:
    """What should be seen of these."""
    return effects(list(itertools.chain(*transactions)))


async def test_everything_arrives_in_order_and_the_outbox_is_empty(office: Office) -> None:
    """What was committed is in the subscriber's queue once, in order, as a persistent CloudEvent of its sender."""
    moves = parcels(10, 30)
    for transaction in moves:
        await office.publish(*transaction)
    await office.relay().start()
    await until(office.is_empty)
    first = await office.channel.basic_get("shop.follow", no_ack=True)
    properties = first.header.properties
    sender = urlsplit(office.settings.amqp_url).username
    assert (properties.delivery_mode, properties.user_id, properties.message_type) == (2, sender, "parcel.moved")
    arrived = [Moved.read(first.body, 1), *await office.arrived()]
    assert len(arrived) == 300
    assert effects(arrived) == in_order(moves)


class Slow(Relay):
    """Looks at confirms only when the broker has confirmed all that is on its way."""

    _is_confirmed = False

    async def _confirmation(self, *, or_woken: bool) -> None:
        await asyncio.wait([batch.confirmed for batch in self._batches])
        self._is_confirmed = True

    async def _clear(self) -> None:
        if self._is_confirmed:
            await super()._clear()
        self._is_confirmed = False


async def test_there_is_more_while_rows_wait(office: Office) -> None:
    """A relay whose batches are all confirmed at once goes on: it does not pause with rows in the outbox."""
    await office.bind()
    await office.publish(*(Moved(parcel_id=uuid4(), step=0) for _ in range(office.settings.relay_batch * 11)))
    relay = office.relay(Slow)
    while await relay.run_once():
        pass
    assert await office.is_empty()
    assert await office.depth() == office.settings.relay_batch * 11


async def test_the_journal_says_who_was_bound(office: Office) -> None:
    """Each relayed event is kept with the subscriptions that were bound when it went out."""
    await office.relay().start()
    await office.publish(Moved(parcel_id=uuid4(), step=1), Noticed(parcel_id=uuid4()))
    await until(office.is_empty)
    rows = await office.watcher.fetch("SELECT type, subscriptions FROM backbone.published ORDER BY type")
    assert [(row["type"], row["subscriptions"]) for row in rows] == [("parcel.moved", ["shop.follow"]), ("parcel.noticed", [])]


async def test_the_journal_claims_no_queue_that_was_bound_too_late(office: Office) -> None:
    """A queue that is bound while several batches are on their way is not said to have had any of them."""
    office.settings = replace(office.settings, relay_batch=1)
    relay = office.relay()
    await office.publish(Moved(parcel_id=uuid4(), step=1), Moved(parcel_id=uuid4(), step=2))
    assert await relay._lead()
    publishing = await relay._connected()
    while await relay._send(publishing):
        pass
    first, second = relay._batches
    await asyncio.gather(first.confirmed, second.confirmed)
    await office.channel.queue_declare("shop.late", durable=True, arguments={"x-queue-type": "quorum"})
    await office.channel.queue_bind("shop.late", "post", "parcel.moved")
    later = relay._batches.pop(second)
    await relay._clear()
    relay._batches[second] = later
    await relay._clear()
    rows = await office.watcher.fetch("SELECT subscriptions FROM backbone.published")
    assert [row["subscriptions"] for row in rows] == [["shop.follow"], ["shop.follow"]]


async def test_an_event_that_reaches_no_queue_holds_its_key_and_no_other(office: Office) -> None:
    """Somebody subscribes to it, so that it waits for the binding; events that nobody wants go on."""
    await office.channel.queue_unbind("shop.follow", "post", "parcel.moved")
    stuck, free = uuid4(), uuid4()
    relay = office.relay()
    relay.hold_seconds = 0.1
    await relay.start()
    await office.publish(Moved(parcel_id=stuck, step=1), Noticed(parcel_id=stuck), Noticed(parcel_id=free))

    async def free_is_gone() -> bool:
        return not await office.watcher.fetchval("SELECT EXISTS (SELECT FROM backbone.outbox WHERE key = $1)", str(free))

    await until(free_is_gone)
    assert await office.watcher.fetchval("SELECT count(*) FROM backbone.outbox WHERE key = $1", str(stuck)) >= 1
    await office.bind()
    await until(office.is_empty)
    assert effects(await office.arrived()) == {stuck: [1]}


async def test_a_commit_in_another_process_wakes_the_relay(office: Office) -> None:
    """One notification after the commit is enough; the relay does not wait for its next look."""
    relay = office.relay()
    relay.interval = 3600
    await relay.start()
    await until(lambda: is_listening(office))
    notifier = Notifier("post", office.database.engine)
    office.database.on_publish = notifier.wake
    await notifier.start()
    await office.publish(Moved(parcel_id=uuid4(), step=1))
    await until(office.is_empty)
    await notifier.stop()


async def is_listening(office: Office) -> bool:
    return bool(
        await office.watcher.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'"
        )
        or await office.watcher.fetchval(
            "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' AND granted"
        )
    )


async def test_a_second_relay_stands_by_and_takes_over(office: Office) -> None:
    """One relay is active per database; the next begins when it has gone."""
    first, second = office.relay(), office.relay()
    await first.start()
    await until(lambda: active(first))
    await second.start()
    await office.publish(Moved(parcel_id=uuid4(), step=1))
    await until(office.is_empty)
    assert not second.is_active
    await first.stop()
    await until(lambda: active(second))
    await office.publish(Moved(parcel_id=uuid4(), step=2))
    await until(office.is_empty)
    assert await office.depth() == 2


async def active(relay: Relay) -> bool:
    return relay.is_active


class Unlocked(Relay):
    """A relay that believes it has the lock."""

    async def _lock(self, reader: asyncpg.Connection) -> bool:
        return True


async def test_two_active_relays_are_harmless(office: Office) -> None:
    """Both send from the oldest row that is left: things arrive twice, but never in another order."""
    moves = parcels(20, 40)
    relays = [office.relay(Unlocked), office.relay(Unlocked)]
    for relay in relays:
        await relay.start()
    for transaction in moves:
        await office.publish(*transaction)
        for relay in relays:
            relay.wake()
    await until(office.is_empty)
    for relay in relays:
        await relay.stop()
    assert effects(await office.arrived()) == in_order(moves)


async def test_a_cut_connection_loses_and_reorders_nothing(office: Office, kills: Callable[[int], int]) -> None:
    """What was on its way goes out again on a new connection."""
    async with Proxy(office.settings.amqp_url) as proxy:
        relay = Relay("post", replace(office.settings, amqp_url=proxy.url), subscribed=SUBSCRIBED)
        await relay.start()
        moves: list[list[Moved]] = []
        cuts, wanted = 0, kills(10)
        while cuts < wanted:
            before = await office.depth()
            more = parcels(50, 8)
            for transaction in more:
                await office.publish(*transaction)
            moves += more
            await until(partial(grown, office, before))
            cuts += proxy.cut()
        await until(office.is_empty)
        await relay.stop()
    assert effects(await office.arrived()) == in_order(moves)


async def test_a_killed_relay_loses_and_reorders_nothing(office: Office, kills: Callable[[int], int]) -> None:
    """Killed again and again in mid-batch, each next process starts from the oldest row that is left."""
    moves: list[list[Moved]] = []
    for _ in range(kills(20)):
        before = await office.depth()
        more = parcels(40, 5)
        for transaction in more:
            await office.publish(*transaction)
        moves += more
        process = forked.start(relay_process.main, office.settings, SUBSCRIBED)
        await until(partial(grown, office, before))
        process.kill()
        await asyncio.to_thread(process.join)
    await office.relay().start()
    await until(office.is_empty)
    assert effects(await office.arrived()) == in_order(moves)


async def grown(office: Office, before: int) -> bool:
    return await office.depth() > before
