"""faststream-outbox: rows of a table, relayed to RabbitMQ by a subscriber that returns each one to FastStream's publisher.

Only `relay`: what consumes is FastStream either way, which is `benchmarks.peers.usual_way`. A row is deleted after RabbitMQ's
confirm; a crash in between sends it again, under the same correlation id.
"""

from __future__ import annotations

import asyncio
from typing import Any

import uvloop
from faststream.rabbit import ExchangeType, QueueType, RabbitBroker, RabbitExchange, RabbitQueue
from faststream_outbox import OutboxBroker, make_outbox_table, outbox_autovacuum_ddl
from sqlalchemy import MetaData, text
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from benchmarks.contending import Prepared, Where, Workload, main
from benchmarks.effects import events

QUEUE = "outbox_peer"
BATCH = 1000

WORKERS = 16
TUNED = {
    # docs/concepts/performance.md, "Which knob for which workload".
    "max_workers": WORKERS,
    "fetch_batch_size": 200,
    # docs/usage/subscriber.md, "Batching terminal deletes": one DELETE for 100 rows, for a wider window of redelivery.
    "terminal_flush_batch_size": 100,
}


class FastStreamOutbox:
    """The relay of its tutorial. Options: `default` leaves every setting as it comes."""

    def __init__(self, where: Where, options: frozenset[str]) -> None:
        self._where = where
        self._tuned = "default" not in options
        # docs/usage/subscriber.md, "Connection budget": a connection for each worker and one that fetches.
        size = WORKERS + 1 if self._tuned else 5
        self._engine = create_async_engine(where.database_url.replace("://", "+asyncpg://", 1), pool_size=size)
        self._metadata = MetaData()
        self._outbox = OutboxBroker(self._engine, outbox_table=make_outbox_table(self._metadata), logger=None)
        self._rabbit = RabbitBroker(where.amqp_url, logger=None)
        self._exchange = RabbitExchange(QUEUE, type=ExchangeType.TOPIC, durable=True)
        self._queue = RabbitQueue(QUEUE, queue_type=QueueType.QUORUM, durable=True)

    async def prepare(self, workload: Workload, count: int) -> Prepared:
        async with self._engine.begin() as connection:
            await connection.run_sync(self._metadata.create_all)
            if self._tuned:
                # docs/operations/alembic.md, "Autovacuum tuning (recommended)".
                await connection.execute(text(outbox_autovacuum_ddl("outbox")))
        await self._rabbit.connect()
        exchange = await self._rabbit.declare_exchange(self._exchange)
        queue = await self._rabbit.declare_queue(self._queue)
        await queue.bind(exchange, "ledger.#")
        await self._outbox.connect()
        sessions = async_sessionmaker(self._engine, expire_on_commit=False)
        made = [event.model_dump(mode="json") for event in events(workload, count)]
        for begin in range(0, count, BATCH):
            async with sessions() as session, session.begin():
                await self._outbox.publish_batch(*made[begin : begin + BATCH], queue="ledger", session=session)
        await self._close()
        return Prepared(QUEUE, self._where.database_url)

    async def work(self, workload: Workload) -> None:
        settings: dict[str, Any] = TUNED if self._tuned else {}
        publisher = self._rabbit.publisher(exchange=self._exchange, routing_key="ledger.posted", persist=True)

        async def relay(body: dict[str, Any]) -> dict[str, Any]:
            return body

        publisher(self._outbox.subscriber("ledger", **settings)(relay))
        try:
            await self._rabbit.connect()
            await self._outbox.start()
            await asyncio.Event().wait()
        finally:
            await self._close()

    async def _close(self) -> None:
        await self._outbox.stop()
        await self._rabbit.stop()
        await self._engine.dispose()


if __name__ == "__main__":
    main(FastStreamOutbox, uvloop.run)
