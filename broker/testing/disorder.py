"""Messages of one queue in another order than they were published in: what a broker does that lost and found some of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiormq
from aiormq.abc import DeliveredMessage

from broker._depth import depth_of
from broker.testing.deployment import Deployment


@asynccontextmanager
async def disordered(deployment: Deployment, queue: str) -> AsyncIterator[None]:
    """Inside, a service is switched off; at the end it gets what has come into this queue meanwhile, the last first.

    Each is published once more by the account of its publisher, as nobody else can: other queues drop the copies.
    """
    deployment.check_queue(queue)
    service = queue.partition(".")[0]
    await deployment.stop(service)
    try:
        yield
        await _publish(deployment, (await _taken(deployment, queue))[::-1])
    finally:
        await deployment.start(service)


async def _taken(deployment: Deployment, queue: str) -> list[DeliveredMessage]:
    """All messages out of a queue that nobody consumes."""
    connection = await aiormq.connect(deployment.platform.service_amqp_url(queue.partition(".")[0]))
    depth = await depth_of(connection, queue)
    channel = await connection.channel()
    messages: list[DeliveredMessage] = []
    all_taken = asyncio.Event()

    async def take(message: DeliveredMessage) -> None:
        messages.append(message)
        if depth is None or len(messages) >= depth.messages:
            all_taken.set()

    if depth is not None and depth.messages:
        await channel.basic_consume(queue, take)
        await all_taken.wait()
        await channel.basic_ack(messages[-1].delivery_tag or 0, multiple=True)
    await connection.close()
    return messages


async def _publish(deployment: Deployment, messages: Sequence[DeliveredMessage]) -> None:
    """One after the other, whoever publishes them."""
    connections = {
        exchange: await aiormq.connect(deployment.platform.service_amqp_url(exchange))
        for exchange in dict.fromkeys(str(message.exchange) for message in messages)
    }
    channels = {exchange: await connection.channel() for exchange, connection in connections.items()}
    for message in messages:
        exchange, key = str(message.exchange), str(message.routing_key)
        properties = message.header.properties
        await channels[exchange].basic_publish(message.body, exchange=exchange, routing_key=key, properties=properties)
    for connection in connections.values():
        await connection.close()
