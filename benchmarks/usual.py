"""The usual way with the same libraries: a session and a transaction per message, a publish at a time.

It is what the tutorials of FastStream and SQLAlchemy lead to, made as safe as they make it: an outbox row in the command's
transaction, a relay that locks rows and waits for each confirm, an inbox row in the handler's transaction.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID

from faststream import AckPolicy
from faststream.rabbit import Channel, ExchangeType, QueueType, RabbitBroker, RabbitExchange, RabbitQueue
from sqlalchemy import BigInteger, Identity, MetaData, Text, delete, func, select, text
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from benchmarks.ground import AccountChanged, Posted
from contracts.event import Event

PREFETCH = 100


class Base(DeclarativeBase):
    """The tables that the usual way brings."""

    metadata = MetaData()


class OutboxRow(Base):
    """An event that waits."""

    __tablename__ = "usual_outbox"

    position: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    id: Mapped[UUID]
    routing_key: Mapped[str] = mapped_column(Text)
    payload: Mapped[dict[str, Any]] = mapped_column(JSONB)


class InboxRow(Base):
    """A message that took effect."""

    __tablename__ = "usual_inbox"

    id: Mapped[UUID] = mapped_column(primary_key=True)


class Entry(Base):
    """The effect of one posting."""

    __tablename__ = "usual_entry"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID]
    note: Mapped[str] = mapped_column(Text)


class AccountCopy(Base):
    """The copy of an account."""

    __tablename__ = "usual_account"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger)
    owner: Mapped[str] = mapped_column(Text)
    note: Mapped[str] = mapped_column(Text)


class UsualWay:
    """Everything in one place, for one database and one virtual host."""

    def __init__(self, database_url: str, amqp_url: str) -> None:
        self._engine = create_async_engine(database_url.replace("postgresql://", "postgresql+asyncpg://", 1), pool_size=20)
        self._sessions = async_sessionmaker(self._engine, expire_on_commit=False)
        self._broker = RabbitBroker(amqp_url, logger=None, default_channel=Channel(prefetch_count=PREFETCH))
        self._exchange = RabbitExchange("usual", type=ExchangeType.TOPIC, durable=True)
        self._handled = 0
        self._expected = 0
        self._done = asyncio.Event()

    async def open(self) -> None:
        """Makes the tables, the exchange and the queues."""
        logging.getLogger("aio_pika").setLevel(logging.ERROR)
        async with self._engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        await self._broker.connect()
        exchange = await self._broker.declare_exchange(self._exchange)
        for queue in (self._queue(Posted), self._queue(AccountChanged)):
            declared = await self._broker.declare_queue(queue)
            await declared.bind(exchange, queue.routing_key)

    async def close(self) -> None:
        """Closes every connection."""
        await self._broker.stop()
        await self._engine.dispose()

    async def command(self, event: Event) -> None:
        """A command: a transaction with an outbox row."""
        async with self._sessions() as session:
            session.add(_row(event))
            await session.commit()

    async def fill(self, events: Sequence[Event]) -> None:
        """Puts events into the outbox at once: not measured."""
        async with self._sessions() as session:
            session.add_all([_row(event) for event in events])
            await session.commit()

    async def relay(self) -> None:
        """Sends all that waits."""
        while True:
            async with self._sessions() as session:
                rows = list(
                    await session.scalars(
                        select(OutboxRow).order_by(OutboxRow.position).limit(100).with_for_update(skip_locked=True)
                    )
                )
                if not rows:
                    return
                for row in rows:
                    await self._broker.publish(
                        row.payload,
                        exchange=self._exchange,
                        routing_key=row.routing_key,
                        message_id=str(row.id),
                        persist=True,
                    )
                await session.execute(delete(OutboxRow).where(OutboxRow.position.in_([row.position for row in rows])))
                await session.commit()

    async def consume(self, count: int) -> None:
        """Handles `count` postings, a transaction each."""

        async def handle(event: Posted) -> None:
            async with self._sessions() as session:
                if await _is_new(session, event.entry_id):
                    session.add(Entry(id=event.entry_id, account_id=event.account_id, note=event.note))
                await session.commit()
            self._count()

        await self._subscribe(Posted, handle, count)

    async def replicate(self, count: int) -> None:
        """Takes over `count` states of accounts, a transaction each."""

        async def handle(event: AccountChanged) -> None:
            values = {"version": event.state_version, "owner": event.owner, "note": event.note}
            statement = insert(AccountCopy).values(id=event.account_id, **values)
            statement = statement.on_conflict_do_update(
                index_elements=[AccountCopy.id], set_=values, where=AccountCopy.version < statement.excluded.version
            )
            async with self._sessions() as session:
                await session.execute(statement)
                await session.commit()
            self._count()

        await self._subscribe(AccountChanged, handle, count)

    async def entries(self) -> int:
        """How many effects there are."""
        async with self._sessions() as session:
            return await session.scalar(select(func.count()).select_from(Entry)) or 0

    async def vacuum(self) -> None:
        """Leaves the next measurement a clean table."""
        async with self._engine.begin() as connection:
            await connection.execute(text("TRUNCATE usual_outbox"))

    async def _subscribe(self, event: type[Event], handle: Callable[..., Awaitable[None]], count: int) -> None:
        self._handled, self._expected = 0, count
        self._done.clear()
        subscriber = self._broker.subscriber(self._queue(event), self._exchange, ack_policy=AckPolicy.NACK_ON_ERROR)
        subscriber(handle)
        await subscriber.start()
        await self._done.wait()
        await subscriber.stop()

    def _count(self) -> None:
        self._handled += 1
        if self._handled == self._expected:
            self._done.set()

    @staticmethod
    def _queue(event: type[Event]) -> RabbitQueue:
        name = event.contract.name
        return RabbitQueue(f"usual.{name}", queue_type=QueueType.QUORUM, durable=True, routing_key=name)


def _row(event: Event) -> OutboxRow:
    from broker._context import uuid7

    return OutboxRow(id=uuid7(), routing_key=event.contract.name, payload=event.model_dump(mode="json"))


async def _is_new(session: AsyncSession, id_: UUID) -> bool:
    statement = insert(InboxRow).values(id=id_).on_conflict_do_nothing().returning(InboxRow.id)
    return await session.scalar(statement) is not None
