"""The usual way: a session and a transaction per message, a publish at a time.

It is what the tutorials of FastStream and SQLAlchemy lead to, made as safe as they make it: an outbox row in the command's
transaction, a relay that locks rows and waits for each confirm, an inbox row in the handler's transaction.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any
from uuid import UUID, uuid4

import uvloop
from faststream import AckPolicy
from faststream.rabbit import Channel, ExchangeType, QueueType, RabbitBroker, RabbitExchange, RabbitQueue
from faststream.rabbit.annotations import RabbitMessage
from sqlalchemy import BigInteger, Identity, Text, delete, insert, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import Mapped, mapped_column

from benchmarks.contending import Prepared, Told, Where, Workload, main
from benchmarks.effects import EFFECTS, Account, AccountState, Base, Posting, accounts, event_class, events, exactly_once

QUEUE = "usual"
BATCH = 100

AT_ONCE = 100
"""Requests that publish after their commit at the same time, without an outbox: a server that uses asyncio, under load."""


class OutboxRow(Base):
    """An event that waits."""

    __tablename__ = "outbox"

    position: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    id: Mapped[UUID]
    routing_key: Mapped[str] = mapped_column(Text)
    payload: Mapped[dict[str, Any]] = mapped_column(JSONB)


class UsualWay:
    """`no-outbox` publishes after the commit instead; `no-inbox` trusts that nothing is delivered twice."""

    def __init__(self, where: Where, options: frozenset[str]) -> None:
        self._where, self._options = where, options
        prefetch = 1 if "default" in options else 100
        self._engine = create_async_engine(where.database_url.replace("://", "+asyncpg://", 1), pool_size=20)
        self._sessions = async_sessionmaker(self._engine, expire_on_commit=False)
        self._broker = RabbitBroker(where.amqp_url, logger=None, default_channel=Channel(prefetch_count=prefetch))
        self._exchange = RabbitExchange(QUEUE, type=ExchangeType.TOPIC, durable=True)
        self._queue = RabbitQueue(QUEUE, queue_type=QueueType.QUORUM, durable=True, routing_key="ledger.#")

    async def prepare(self, workload: Workload, count: int) -> Prepared:
        async with self._engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
            await connection.execute(insert(Account), accounts())
        await self._broker.connect()
        exchange = await self._broker.declare_exchange(self._exchange)
        queue = await self._broker.declare_queue(self._queue)
        await queue.bind(exchange, "ledger.#")
        made = [] if self._publishes_itself(workload) else list(events(workload, count))
        if made and workload == "relay":
            async with self._engine.begin() as connection:
                rows = [
                    {"id": uuid4(), "routing_key": "ledger.posted", "payload": event.model_dump(mode="json")} for event in made
                ]
                await connection.execute(insert(OutboxRow), rows)
        else:
            for begin in range(0, len(made), 500):
                await asyncio.gather(
                    *(self._publish(uuid4(), event.model_dump(mode="json")) for event in made[begin : begin + 500])
                )
        await self._close()
        return Prepared(QUEUE, self._where.database_url)

    async def work(self, workload: Workload) -> None:
        try:
            if workload == "relay":
                await self._broker.connect()
                await self._broker.declare_exchange(self._exchange)
                await (self._publish_after_commits() if self._publishes_itself(workload) else self._relay())
            else:
                self._subscribe(workload)
                await self._broker.start()
                await asyncio.Event().wait()
        finally:
            await self._close()

    def _publishes_itself(self, workload: Workload) -> bool:
        return workload == "relay" and "no-outbox" in self._options

    async def _publish_after_commits(self) -> None:
        waiting = iter(list(events("relay", Told.by(sys.argv[1:]).count)))

        async def one_by_one() -> None:
            for event in waiting:
                await self._publish(uuid4(), event.model_dump(mode="json"))

        await asyncio.gather(*(one_by_one() for _ in range(AT_ONCE)))
        await asyncio.Event().wait()

    async def _relay(self) -> None:
        while True:
            async with self._sessions() as session:
                statement = select(OutboxRow).order_by(OutboxRow.position).limit(BATCH).with_for_update(skip_locked=True)
                rows = list(await session.scalars(statement))
                if not rows:
                    await asyncio.sleep(0.1)
                for row in rows:
                    await self._publish(row.id, row.payload)
                await session.execute(delete(OutboxRow).where(OutboxRow.position.in_([row.position for row in rows])))
                await session.commit()

    async def _publish(self, id_: UUID, payload: dict[str, Any]) -> None:
        await self._broker.publish(
            payload, exchange=self._exchange, routing_key="ledger.posted", message_id=str(id_), persist=True, mandatory=True
        )

    def _subscribe(self, workload: Workload) -> None:
        subscriber = self._broker.subscriber(self._queue, self._exchange, ack_policy=AckPolicy.NACK_ON_ERROR)

        async def posted(event: Posting, message: RabbitMessage) -> None:
            await take(event, message)

        async def changed(event: AccountState, message: RabbitMessage) -> None:
            await take(event, message)

        async def take(event: Posting | AccountState, message: RabbitMessage) -> None:
            async with self._sessions() as session:
                if "no-inbox" in self._options:
                    await EFFECTS[workload](session, event)
                else:
                    await exactly_once(session, workload, UUID(message.message_id), event)
                await session.commit()

        subscriber(posted if event_class(workload) is Posting else changed)

    async def _close(self) -> None:
        await self._broker.stop()
        await self._engine.dispose()


if __name__ == "__main__":
    main(UsualWay, uvloop.run)
