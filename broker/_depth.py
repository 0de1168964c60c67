"""How much waits in a queue and whether anybody takes it, as the queue itself answers.

The management API tells it from statistics that are seconds old; a passive declaration asks the queue itself, and needs no
rights.
"""

from __future__ import annotations

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


async def depth_of(connection: AbstractConnection, queue: str) -> Depth | None:
    """The queue's depth now; None when there is no such queue."""
    channel = await connection.channel()
    try:
        declared = await channel.queue_declare(queue, passive=True)
    except ChannelNotFoundEntity:
        return None
    await channel.close()
    return Depth(declared.message_count or 0, declared.consumer_count or 0)
