"""How much waits in a queue and whether anybody takes it, as the queue itself answers.

The management API tells it from statistics that are seconds old; a passive declaration asks the queue itself, and needs no
rights.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

from aiormq.abc import AbstractConnection
from aiormq.exceptions import ChannelNotFoundEntity


@dataclass(frozen=True, slots=True)
class Depth:
    """Messages ready to be delivered; and 1 when a consumer is active or holds messages that it has not acked, else 0.

    Standbys of a single active consumer are not counted (RabbitMQ 3.10).
    """

    messages: int
    consumers: int

    @property
    def abandoned(self) -> bool:
        """Nothing is in it, in nobody's hands either, and nobody takes from it."""
        return not self.messages and not self.consumers

    def __str__(self) -> str:
        waiting = f"{self.messages} {'message waits' if self.messages == 1 else 'messages wait'} in it"
        taken = "somebody consumes it"
        return " and ".join(text for text, true in ((waiting, self.messages), (taken, self.consumers)) if true) or "it is empty"


Depths = Callable[[Iterable[str]], Awaitable[Mapping[str, Depth] | None]]
"""Asks a broker for the depths of queues; None when it cannot be reached."""


async def no_depths(queues: Iterable[str]) -> None:
    """Where there is no broker to ask."""


async def depth_of(connection: AbstractConnection, queue: str) -> Depth | None:
    """The queue's depth now; None when there is no such queue."""
    return (await depths_of(connection, [queue])).get(queue)


async def depths_of(connection: AbstractConnection, queues: Iterable[str]) -> dict[str, Depth]:
    """The depth now of each of the queues that there is."""
    depths = {}
    channel = await connection.channel()
    for queue in queues:
        try:
            declared = await channel.queue_declare(queue, passive=True)
        except ChannelNotFoundEntity:
            channel = await connection.channel()  # the broker closes a channel that asked for what is not there
        else:
            depths[queue] = Depth(declared.message_count or 0, declared.consumer_count or 0)
    await channel.close()
    return depths
