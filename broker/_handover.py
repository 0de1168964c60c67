"""A renamed subscription goes on where its old queue ends: that is emptied first, then the new one is begun.

Old code may still run and hold messages that are earlier than all of the new queue. So the old queue is taken only while nobody
consumes it, and is over when it is gone or has neither messages nor a consumer; topology's `apply` has unbound it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import structlog
from aiormq.abc import AbstractConnection
from sqlalchemy import func, select

from broker._batch import Processor
from broker._crash_points import CrashPoint
from broker._database import Database
from broker._depth import depth_of
from broker._intake import Intake
from broker._publishing import lock_number
from broker._renames import follow_rename
from broker._service import Service
from broker._settings import Settings
from broker._subscriptions import Subscription

log = structlog.get_logger("nilecare.backbone")

PAUSE = 1.0
"""Seconds between looks at an old queue that somebody else consumes."""

IDLE = 0.5
"""Seconds without a message after which an old queue is left, to see whether it is over: a consumer of ours would count."""


class Handover:
    """Empties the queues of a subscription's earlier names, once in the life of a process.

    What it handles, it handles under the earlier name: the inbox then tells one effect even from a commit of old code that is
    still on its way. When all is handled, inbox, failed messages and held keys follow to the new name.

    processor: gives the processor for a subscription.
    """

    def __init__(
        self,
        database: Database,
        service: Service,
        subscription: Subscription,
        settings: Settings,
        processor: Callable[[Subscription], Processor],
    ) -> None:
        self._database = database
        self._service = service
        self._subscription = subscription
        self._count, self._bytes = settings.batch_count, settings.batch_bytes
        self._processor = processor
        self.is_over = not subscription.formerly

    async def complete(self, connection: AbstractConnection) -> None:
        """Returns when the new queue may be begun. Raises what reading and processing raise; can be called again then.

        Copies of a service do it one after the other: a second one must not take rows back to the old name. Cancelling it loses
        nothing: what was not committed returns to its place.
        """
        if self.is_over:
            return
        async with self._database.reading() as alone:
            lock = lock_number("handover", self._service.queue(self._subscription))
            await alone.execute(select(func.pg_advisory_xact_lock(lock)))
            for name in self._subscription.formerly:
                await self._end(connection, self._under(name))
            await self._follow(self._subscription)
        self.is_over = True
        log.info("subscription.renamed", service=self._service.name, subscription=self._subscription.name)

    def _under(self, name: str) -> Subscription:
        names = (self._subscription.name, *self._subscription.formerly)
        return replace(self._subscription, name=name, formerly=tuple(other for other in names if other != name))

    async def _end(self, connection: AbstractConnection, former: Subscription) -> None:
        queue = self._service.queue(former)
        while (depth := await depth_of(connection, queue)) is not None and not depth.abandoned:
            if depth.consumers:
                await asyncio.sleep(PAUSE)
            else:
                await self._follow(former)
                await self._take(connection, queue, self._processor(former))

    async def _take(self, connection: AbstractConnection, queue: str, processor: Processor) -> None:
        intake = await Intake.open(connection, queue, prefetch=self._count)
        try:
            async with asyncio.timeout(IDLE) as idle:
                while batch := await intake.next(self._count, self._bytes):
                    idle.reschedule(None)
                    await processor.process(batch)
                    await intake.acknowledge(batch[-1])
                    idle.reschedule(asyncio.get_running_loop().time() + IDLE)
        except TimeoutError:
            if not idle.expired():
                raise
        finally:
            await intake.close()

    async def _follow(self, subscription: Subscription) -> None:
        async with self._database.transaction(CrashPoint.RENAME_FOLLOWED) as session:
            await follow_rename(session, subscription)
