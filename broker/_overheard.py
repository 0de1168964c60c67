"""What services say to each other, overheard: a copy of every message that any of them publishes, as the broker has it.

It lies in a queue that RabbitMQ forgets with the connection: who listens takes nothing from anybody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Self
from uuid import UUID

import aiormq
from aiormq.abc import AbstractConnection, DeliveredMessage

from broker._service import Service


class Overheard:
    """Everything that was published since it began to listen, by the id that the sender gave it; the last copy counts.

    news: is set whenever something was heard. What has no id that is a UUID is not kept.
    """

    def __init__(self, connection: AbstractConnection) -> None:
        self._connection = connection
        self.messages: dict[UUID, DeliveredMessage] = {}
        self.news = asyncio.Event()
        self._queue = ""
        self._reached = asyncio.Event()

    @classmethod
    async def on(cls, amqp_url: str, services: Iterable[Service]) -> Self:
        """Listens to the exchanges of these services, as an administrator may. Raises aiormq.AMQPError, OSError."""
        overheard = cls(await aiormq.connect(amqp_url))
        try:
            channel = await overheard._connection.channel()
            queue = overheard._queue = (await channel.queue_declare(exclusive=True)).queue or ""
            for service in services:
                await channel.queue_bind(queue, service.name, "#")
            await channel.basic_consume(queue, overheard._take, no_ack=True)
        except BaseException:
            await overheard.close()
            raise
        return overheard

    @property
    def is_listening(self) -> bool:
        """Whether it still hears."""
        return not self._connection.is_closed

    async def everything(self) -> Mapping[UUID, DeliveredMessage]:
        """All that was published up to now: a word to itself comes after whatever the broker had before."""
        self._reached.clear()
        channel = await self._connection.channel()
        await channel.basic_publish(b"", routing_key=self._queue)
        await self._reached.wait()
        await channel.close()
        return self.messages

    async def close(self) -> None:
        """Hears no more."""
        await self._connection.close()

    async def _take(self, message: DeliveredMessage) -> None:
        if not message.exchange:
            self._reached.set()
            return
        try:
            id_ = UUID(message.header.properties.message_id)
        except (TypeError, ValueError):
            return
        self.messages[id_] = message
        self.news.set()
