"""What the broker gave up is taken in among the failed messages, once, believed as far as the broker vouches for it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiormq
import httpx
import pytest
from aiormq.abc import AbstractChannel

from broker._dead import DeadDrain
from broker._delivery import Delivery
from broker._settings import Settings
from broker.servers import Servers
from tests.broker.failing import Desk, delivery_of


@dataclass
class Broker:
    """A virtual host with the exchange `shop`, the queue `desk.count` and `desk.dead`."""

    url: str
    user: str
    channel: AbstractChannel

    async def publish(self, exchange: str, routing_key: str, body: bytes, properties: aiormq.spec.Basic.Properties) -> None:
        await self.channel.basic_publish(body, exchange=exchange, routing_key=routing_key, properties=properties)

    async def left(self, queue: str) -> int:
        return (await self.channel.queue_declare(queue, passive=True)).message_count or 0

    async def give_up(self, queue: str = "desk.count") -> None:
        """Rejects the next message of the queue, which then dies; returns when it is in the dead queue."""
        before = await self.left("desk.dead")
        async with asyncio.timeout(20):
            while (message := await self.channel.basic_get(queue)).delivery_tag is None:
                pass
            await self.channel.basic_reject(message.delivery_tag, requeue=False)
            while await self.left("desk.dead") == before:
                pass


@pytest.fixture
async def broker(servers: Servers) -> AsyncIterator[Broker]:
    name = f"fail_{secrets.token_hex(6)}"
    parts = urlsplit(servers.amqp_url)
    async with httpx.AsyncClient(base_url=servers.management_url, timeout=30) as management:
        (await management.put(f"/api/vhosts/{name}")).raise_for_status()
        (await management.put(f"/api/permissions/{name}/{parts.username}",
                              json={"configure": ".*", "write": ".*", "read": ".*"})).raise_for_status()  # fmt: skip
        url = parts._replace(path=f"/{name}").geturl()
        connection = await aiormq.connect(url)
        channel = await connection.channel(publisher_confirms=True)
        await channel.exchange_declare("shop", exchange_type="topic", durable=True)
        await channel.queue_declare("desk.dead", durable=True, arguments={"x-queue-type": "quorum"})
        dies: dict[str, Any] = {
            "x-queue-type": "quorum",
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": "desk.dead",
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        }
        await channel.queue_declare("desk.count", durable=True, arguments=dies)
        await channel.queue_bind("desk.count", "shop", routing_key="shop.sold")
        yield Broker(url, parts.username or "guest", channel)
        await connection.close()
        await management.delete(f"/api/vhosts/{name}")


@pytest.fixture
async def drain(desk: Desk, broker: Broker) -> AsyncIterator[DeadDrain]:
    settings = Settings(database_url="", amqp_url=broker.url)
    drain = DeadDrain(desk.database, desk.service, settings, desk.failures)
    yield drain
    await drain.close()


async def test_what_the_broker_gave_up_is_a_dead_letter(desk: Desk, broker: Broker, drain: DeadDrain) -> None:
    """It is taken in as it was before it died, holds its key, leaves the dead queue, and can be retried."""
    _, envelope = desk.message("a", 1)
    await broker.publish("shop", "shop.sold", envelope.body, envelope.properties(broker.user))
    await broker.give_up()
    assert await drain.drain() == 1
    row = (await desk.rows())[0]
    assert (row.id, row.subscription, row.state, row.error) == (envelope.id, "count", "dead", "GivenUp")
    assert (row.exchange, row.routing_key) == ("shop", "shop.sold")
    assert row.reason == "RabbitMQ gave it up in desk.count: rejected"
    assert await desk.consume(*desk.message("a", 2)) == "held"
    assert await broker.left("desk.dead") == 0
    assert (await desk.retry(row.position)).result == "done"
    await desk.run()
    assert await desk.effects("a") == [1, 2]


async def test_what_had_its_effect_is_dropped(desk: Desk, broker: Broker, drain: DeadDrain) -> None:
    """Given up after it took effect (its acknowledgement was lost each time), it is not kept."""
    _, envelope = desk.message("a", 1)
    await desk.consume(delivery_of(envelope), envelope)
    await broker.publish("shop", "shop.sold", envelope.body, envelope.properties(broker.user))
    await broker.give_up()
    await drain.drain()
    assert await desk.rows() == []


async def test_a_shovelled_message_is_neither_lost_nor_doubled(desk: Desk, broker: Broker, drain: DeadDrain) -> None:
    """Somebody moves the dead queue back by hand: whether it was taken in before or not, there is one effect."""
    _, envelope = desk.message("a", 1)
    for _ in range(2):
        await broker.publish("shop", "shop.sold", envelope.body, envelope.properties(broker.user))
        await broker.give_up()
    shovelled = await broker.channel.basic_get("desk.dead")
    await broker.publish("", "desk.count", shovelled.body, shovelled.header.properties)
    assert shovelled.delivery_tag is not None
    await broker.channel.basic_ack(shovelled.delivery_tag)
    assert await drain.drain() == 1
    again = await broker.channel.basic_get("desk.count")
    delivery = Delivery.received(again)
    delivery.check(delivery.envelope(), desk.subscription, "desk.count")
    assert await desk.consume(delivery, delivery.envelope()) == "known"
    assert (await desk.retry((await desk.rows())[0].position)).result == "done"
    assert await desk.consume(delivery, delivery.envelope()) == "known"
    assert await desk.effects("a") == [1]


async def test_an_untrue_or_strange_message_is_kept_and_not_believed(desk: Desk, broker: Broker, drain: DeadDrain) -> None:
    """Without x-death, without an id, or by way of a foreign exchange: kept, once, holding nothing."""
    _, envelope = desk.message("a", 1)
    await broker.publish("", "desk.dead", envelope.body, envelope.properties(broker.user))
    await broker.publish("", "desk.dead", b"\x00", aiormq.spec.Basic.Properties(headers={"x-death": "nonsense"}))
    await broker.channel.exchange_declare("elsewhere", exchange_type="topic", durable=True)
    await broker.channel.queue_bind("desk.count", "elsewhere", routing_key="#")
    await broker.publish("elsewhere", "shop.sold", envelope.body, envelope.properties(broker.user))
    await broker.give_up()
    assert await drain.drain() == 3
    assert [(row.id, row.subscription, row.state) for row in await desk.rows()] == [
        (None, "unknown", "dead"),
        (None, "unknown", "dead"),
        (None, "count", "dead"),
    ]
    assert "arrived by way of exchange 'elsewhere'" in (await desk.rows())[2].reason
    assert await desk.consume(*desk.message("a", 2)) == "done"
    assert (await desk.retry((await desk.rows())[0].position)).result == "foreign"


async def test_a_failure_loses_nothing(desk: Desk, broker: Broker, drain: DeadDrain, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the database refuses, the message stays in the dead queue; afterwards it is taken in."""
    _, envelope = desk.message("a", 1)
    await broker.publish("shop", "shop.sold", envelope.body, envelope.properties(broker.user))
    await broker.give_up()
    with monkeypatch.context() as broken:
        broken.setattr(desk.database, "transaction", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await drain.drain()
    async with asyncio.timeout(20):
        while not await drain.drain():
            pass
    assert [row.id for row in await desk.rows()] == [envelope.id]
