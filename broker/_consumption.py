"""Consuming one queue for as long as the service runs: open a channel, take batches, start again when it is lost."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

import structlog

from broker._delivery import CAREFUL, Delivery
from broker._intake import Intake
from broker._loop import Loop
from broker._settings import Settings

log = structlog.get_logger("nilecare.backbone")

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds that a batch is kept while it cannot be processed; then the channel is closed and others may have the messages."""

PREFETCH = 500
"""Messages that the broker delivers ahead of their acknowledgement: a batch that commits and the next that gathers.

The same always and for every copy, because order depends on it: a quorum queue puts what is returned behind what was
returned before and not yet delivered again. A consumer with a smaller number (one, to be careful with a suspect) would leave
some of it waiting there, and its own messages, returned when it dies, would come behind them.
"""


class Consumption(Loop):
    """The loop of one subscription. A round is the life of one channel.

    open_: starts to consume, waiting for the connection as long as it takes.
    process: see Processor; while it raises, it is called again with growing pauses, for as long as `patience` lasts.
    is_ready: whether it makes sense to take messages at all, that is, whether the database is there.
    """

    longest_pause = 5.0

    def __init__(
        self,
        queue: str,
        settings: Settings,
        *,
        open_: Callable[[], Coroutine[Any, Any, Intake]],
        process: Callable[[Sequence[Delivery]], Awaitable[None]],
        is_ready: Callable[[], Awaitable[bool]],
        patience: float = PATIENCE,
    ) -> None:
        super().__init__(f"consume {queue}", interval=0.5)
        self.queue = queue
        self.is_careful = False
        self.trouble: str | None = None
        self.in_hand = 0
        self._count, self._bytes = min(settings.batch_count, PREFETCH), settings.batch_bytes
        self._open, self._process, self._is_ready = open_, process, is_ready
        self._patience = patience
        self._intake: Intake | None = None

    @property
    def is_registered(self) -> bool:
        """Whether the broker has us as a consumer of the queue: at work, or standing by for another copy."""
        return self._intake is not None and not self._intake.is_interrupted

    @property
    def has_delivered(self) -> bool:
        """Whether this channel was given messages, so that we are the one at work."""
        return self._intake is not None and self._intake.has_delivered

    async def run_once(self) -> bool:
        """Consumes until the channel is lost or given up."""
        try:
            if not await self._is_ready():
                raise ConnectionError("the database does not answer")
            intake = self._intake = await self._unless_stopped(self._open())
        except Exception as failure:
            self.trouble = type(failure).__name__
            raise
        if intake is not None:
            if self.stopping:
                intake.interrupt()
            try:
                await self._take_batches(intake)
            finally:
                await intake.close()
                self._intake, self.in_hand = None, 0
        return False

    async def stop(self) -> None:
        """Takes no new batch, finishes and acknowledges the one in hand, and closes the channel."""
        self._stopping.set()
        if self._intake is not None:
            self._intake.interrupt()
        await super().stop()

    async def _take_batches(self, intake: Intake) -> None:
        while batch := await intake.next(self._count, self._bytes):
            self.is_careful, self.in_hand = any(one.delivery_count >= CAREFUL for one in batch), len(batch)
            if not await self._persist(batch, intake):
                break
            await intake.acknowledge(batch[-1])
            self.in_hand = 0

    async def _persist(self, batch: Sequence[Delivery], intake: Intake) -> bool:
        """Processes the batch, again and again; False when it is to be given back instead."""
        end, pause = time.monotonic() + self._patience, 0.1
        while True:
            try:
                await self._process(batch)
                self.trouble = None
                return True
            except Exception as failure:
                self.trouble = type(failure).__name__
                log.warning("batch.postponed", queue=self.queue, error=self.trouble, messages=len(batch))
            if time.monotonic() > end or self.stopping or intake.is_interrupted:
                return False
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()
            pause = min(pause * 2, self.longest_pause)

    async def _unless_stopped(self, work: Coroutine[Any, Any, T]) -> T | None:
        doing = asyncio.ensure_future(work)
        stopping = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait({doing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not doing.done():
            doing.cancel()
            await asyncio.wait({doing})
        return None if doing.cancelled() else doing.result()
