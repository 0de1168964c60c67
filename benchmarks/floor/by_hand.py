"""The same sequence with no layer at all: asyncpg and aio-pika by hand, a transaction and a confirm for each event.

A row and an outbox row in the command's transaction; publish, wait for the confirm, delete the outbox row; then an inbox row
and the effect in the subscriber's transaction, and the acknowledgement. It keeps no order and sends nothing again. See
`benchmarks.pace`.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from uuid import UUID, uuid4

import aio_pika
import asyncpg
import uvloop
from aio_pika.abc import AbstractExchange, AbstractIncomingMessage

from benchmarks.contending import Where
from benchmarks.effects import posting
from benchmarks.pace import Pace, asked

TABLES = """
    CREATE TABLE command (id uuid PRIMARY KEY, account_id uuid NOT NULL, amount numeric NOT NULL, note text NOT NULL);
    CREATE TABLE outbox (position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id uuid NOT NULL, body bytea NOT NULL);
    CREATE TABLE inbox (id uuid PRIMARY KEY);
    CREATE TABLE entry (LIKE command INCLUDING ALL);
"""
ROW = "VALUES ($1, $2, $3, $4)"


class ByHand:
    """Publisher and subscriber in one process, on one database."""

    def __init__(self, pool: asyncpg.Pool, exchange: AbstractExchange) -> None:
        self._pool, self._exchange = pool, exchange
        self._numbers = itertools.count()
        self._sending: set[asyncio.Task[None]] = set()
        self.pace: Pace

    async def command(self) -> UUID:
        """A row and an event in one transaction; it is sent after the commit."""
        made = posting(next(self._numbers))
        id_, body = uuid4(), made.model_dump_json().encode()
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(f"INSERT INTO command {ROW}", made.entry_id, made.account_id, made.amount, made.note)
            position = await connection.fetchval("INSERT INTO outbox (id, body) VALUES ($1, $2) RETURNING position", id_, body)
        self._sending.add(task := asyncio.create_task(self._send(position, id_, body)))
        task.add_done_callback(self._sending.discard)
        return made.entry_id

    async def _send(self, position: int, id_: UUID, body: bytes) -> None:
        message = aio_pika.Message(
            body, content_type="application/json", message_id=str(id_), delivery_mode=aio_pika.DeliveryMode.PERSISTENT
        )
        await self._exchange.publish(message, "ledger.posted")
        await self._pool.execute("DELETE FROM outbox WHERE position = $1", position)

    async def take(self, message: AbstractIncomingMessage) -> None:
        """One delivery: its effect, and then its acknowledgement."""
        data = json.loads(message.body)
        values = (UUID(data["entry_id"]), UUID(data["account_id"]), data["amount"], data["note"])
        async with self._pool.acquire() as connection, connection.transaction():
            seen = "INSERT INTO inbox VALUES ($1) ON CONFLICT DO NOTHING RETURNING id"
            if await connection.fetchval(seen, UUID(message.message_id)):
                await connection.execute(f"INSERT INTO entry {ROW}", *values)
        self.pace.took_effect(values[0])
        await message.ack()


async def run(where: Where) -> None:
    """Commands at the pace that was asked for."""
    rate, seconds = asked()
    async with (
        asyncpg.create_pool(where.database_url, min_size=20, max_size=20) as pool,
        await aio_pika.connect(where.amqp_url) as sending,
        await aio_pika.connect(where.amqp_url) as receiving,
    ):
        await pool.execute(TABLES)
        channel = await receiving.channel()
        await channel.set_qos(prefetch_count=100)
        queue = await channel.declare_queue("by_hand", durable=True, arguments={"x-queue-type": "quorum"})
        publishing = await sending.channel(publisher_confirms=True)
        exchange = await publishing.declare_exchange("by_hand", aio_pika.ExchangeType.TOPIC, durable=True)
        await queue.bind(exchange.name, "ledger.#")
        by_hand = ByHand(pool, exchange)
        by_hand.pace = Pace(by_hand.command, rate=rate, seconds=seconds)
        await queue.consume(by_hand.take)
        await by_hand.pace.run()


if __name__ == "__main__":
    uvloop.run(run(Where.from_environment()))
