"""An idle FastStream application, whose memory is what any service pays before it does anything."""

from __future__ import annotations

import asyncio

import uvloop
from faststream.rabbit import QueueType, RabbitBroker, RabbitQueue
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from benchmarks.contending import Prepared, Where, Workload, main


class Idle:
    """One subscriber that hears nothing, and an engine that has opened one connection."""

    def __init__(self, where: Where, options: frozenset[str]) -> None:
        self._where = where

    async def prepare(self, workload: Workload, count: int) -> Prepared:
        return Prepared("idle", self._where.database_url)

    async def work(self, workload: Workload) -> None:
        broker = RabbitBroker(self._where.amqp_url, logger=None)
        engine = create_async_engine(self._where.database_url.replace("://", "+asyncpg://", 1))

        @broker.subscriber(RabbitQueue("idle", queue_type=QueueType.QUORUM, durable=True))
        async def hear(body: str) -> None:
            raise AssertionError("nobody says anything")

        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
        await broker.start()
        try:
            await asyncio.Event().wait()
        finally:
            await broker.stop()
            await engine.dispose()


if __name__ == "__main__":
    main(Idle, uvloop.run)
