"""One channel that consumes one queue: while a batch commits, the deliveries of the next gather here."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import Self

from aiormq.abc import AbstractConnection

from broker._crash_points import CrashPoint, passing
from broker._delivery import Delivery
from broker._wire import ConsumingChannel

OPENING = 10.0
"""Seconds that the broker may take to accept a consumer: after a crash a queue may be without a leader for a while."""

CLOSING = 10.0
"""Seconds that the broker may take to confirm that a channel is closed."""


class Intake:
    """A consumer on a channel of its own, so that one acknowledgement covers all before it and closing gives back the rest.

    It never cancels: with a single active consumer, the next copy would start on later messages while ours are in work.
    """

    def __init__(self) -> None:
        self._channel: ConsumingChannel
        self._waiting: deque[Delivery] = deque()
        self._changed = asyncio.Event()
        self._interrupted = False
        self.has_delivered = False

    @classmethod
    async def open(cls, connection: AbstractConnection, queue: str, *, prefetch: int) -> Self:
        """Starts to consume, on a connection with a Wire.

        Raises TimeoutError, or what aiormq raises: queue missing or forbidden, connection lost.
        """
        intake = cls()
        channel = intake._channel = await ConsumingChannel.on(connection, intake._receive)
        try:
            channel.on_consumer_cancel_callbacks.add(lambda frame: intake.interrupt())
            channel.closing.add_done_callback(lambda closed: intake.interrupt())
            async with asyncio.timeout(OPENING):
                await channel.basic_qos(prefetch_count=prefetch)
                await channel.consume(queue)
        except BaseException:
            await intake.close()
            raise
        return intake

    def _receive(self, delivery: Delivery) -> None:
        self._waiting.append(delivery)
        self._changed.set()

    async def next(self, count: int, size: int) -> list[Delivery]:
        """What has arrived, up to `count` messages and `size` bytes but at least one, which is waited for.

        Empty when there will be no more: interrupted, cancelled by the broker, or closed.
        """
        while not self._waiting and not self._interrupted:
            self._changed.clear()
            await self._changed.wait()
        batch: list[Delivery] = []
        while self._waiting and not self._interrupted and len(batch) < count and (size > 0 or not batch):
            batch.append(self._waiting.popleft())
            size -= len(batch[-1].body)
        if batch:
            self.has_delivered = True
            passing(CrashPoint.BATCH_TAKEN)
        return batch

    async def acknowledge(self, last: Delivery) -> None:
        """Acknowledges `last` and every delivery before it."""
        await self._channel.basic_ack(last.tag, multiple=True)
        passing(CrashPoint.BATCH_ACKNOWLEDGED)

    def interrupt(self) -> None:
        """Makes `next` return, now and for good."""
        self._interrupted = True
        self._changed.set()

    @property
    def is_interrupted(self) -> bool:
        """Whether `next` has nothing more to give."""
        return self._interrupted

    async def close(self) -> None:
        """Closes the channel: what was not acknowledged returns to its place in the queue."""
        self.interrupt()
        with contextlib.suppress(Exception):
            async with asyncio.timeout(CLOSING):
                await self._channel.close()
