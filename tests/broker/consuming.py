"""What the tests of consuming share: a domain of two events, its tables, and a queue with a service that consumes it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import aiormq
from sqlalchemy import ForeignKey, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from broker._batch import BatchProcessor, Effect
from broker._context import uuid7
from broker._database import Database, engine_for
from broker._delivery import Delivery
from broker._envelope import Envelope
from broker._failures import Failures
from broker._service import Service
from broker._settings import Settings
from broker._subscriber import EventBroker, subscribers_for
from broker._subscriptions import Subscription, on
from contracts.event import Event

QUEUE = "ledger.write_down"


class Happened(Event, name="thing.happened", version=2, key="thing", publisher="lab"):
    """Something happened to a thing."""

    thing: str
    number: int
    note: str = ""


class Written(Event, name="entry.written", version=1, key="thing", publisher="ledger"):
    """It was written down."""

    thing: str
    note: str = ""


class Base(DeclarativeBase):
    """The ledger's tables."""


class Entry(Base):
    """What was written down, in order; nothing unique, so that a second effect would be seen."""

    __tablename__ = "entry"

    position: Mapped[int] = mapped_column(primary_key=True)
    thing: Mapped[str]
    number: Mapped[int]


class Singular(Base):
    """At most one per number."""

    __tablename__ = "singular"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class Referring(Base):
    """Refers to a number, which is checked at the commit."""

    __tablename__ = "referring"

    position: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(ForeignKey(Singular.number, deferrable=True, initially="DEFERRED"))


Handle = Callable[[Happened, AsyncSession], Awaitable[None]]


async def write_down(event: Happened, session: AsyncSession) -> None:
    """Writes an entry."""
    session.add(Entry(thing=event.thing, number=event.number))


def service_with(handler: Callable[..., Awaitable[None]] = write_down, **declared: Any) -> Service:
    """A service `ledger` with one subscription, `write_down`, that `handler` handles."""
    handlers, contracts = ModuleType("handlers"), ModuleType("contracts.ledger")

    async def handle(event: Happened, session: AsyncSession) -> None:
        await handler(event, session)

    handle.__module__ = handlers.__name__
    handlers.handle = on(Happened, name="write_down", **declared)(handle)  # type: ignore[attr-defined]
    return Service(name="ledger", port=0, handlers=handlers, contracts=contracts)


def envelope_of(event: Event, *, id_: UUID | None = None, **changed: Any) -> Envelope:
    """The envelope that the event's publisher would send it in."""
    fields: dict[str, Any] = {
        "id": id_ or uuid7(),
        "type": event.contract.name,
        "source": event.contract.publisher,
        "subject": event.subject,
        "version": event.contract.version,
        "sequence": 1,
        "flow": uuid7(),
        "cause": None,
        "trace": None,
        "time": datetime.now(UTC),
        "body": event.model_dump_json().encode(),
    }
    return Envelope(**(fields | changed))


def delivery_of(envelope: Envelope, **reported: Any) -> Delivery:
    """The envelope as the broker delivers it, by its publisher's exchange."""
    properties = envelope.properties("lab")
    fields: dict[str, Any] = {
        "exchange": "lab",
        "routing_key": envelope.type,
        "message_id": properties.message_id,
        "headers": properties.headers,
        "body": envelope.body,
    }
    return Delivery(**(fields | reported))


def deliveries_of(events: Iterable[Event]) -> list[Delivery]:
    """Deliveries of events, first ones."""
    return [delivery_of(envelope_of(event)) for event in events]


@dataclass
class Ledger:
    """The service's database, and what its processor did."""

    database: Database
    url: str
    effects: list[Effect] = field(default_factory=list)

    @classmethod
    async def at(cls, url: str) -> Ledger:
        """With the ledger's tables in the fresh database at `url`."""
        database = Database(engine_for(url), "ledger")
        async with database.engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        return cls(database, url)

    def observe(self, subscription: Subscription, effect: Effect) -> None:
        """Notes what a transaction did."""
        self.effects.append(effect)

    def processor(self, service: Service) -> BatchProcessor:
        """A processor of the service's one subscription."""
        return BatchProcessor(self.database, service, service.subscriptions[0], Failures(service), observe=self.observe)

    async def process(self, handler: Handle, deliveries: Sequence[Delivery], **declared: Any) -> None:
        """Has `handler` handle the deliveries as one batch."""
        await self.processor(service_with(handler, **declared)).process(deliveries)

    async def rows(self, sql: str, **parameters: Any) -> list[Any]:
        """What a query gives: tuples, or bare values where it has one column."""
        async with self.database.engine.connect() as connection:
            rows = [tuple(row) for row in await connection.execute(text(sql), parameters)]
        return [row[0] if len(row) == 1 else row for row in rows]

    async def entries(self, thing: str | None = None) -> list[int]:
        """The numbers written down, in order."""
        return await self.rows("SELECT number FROM entry WHERE coalesce(:thing, thing) = thing ORDER BY position", thing=thing)

    async def failed(self) -> list[Any]:
        """The failed messages' state and error, in order of arrival."""
        return await self.rows("SELECT state, error FROM backbone.failed_message ORDER BY position")

    async def inbox(self) -> int:
        """How many messages have taken effect."""
        return int((await self.rows("SELECT count(*) FROM backbone.inbox"))[0])


class Channel:
    """The publisher's side: its exchange, and the queue that the topology would make."""

    def __init__(self, amqp_url: str) -> None:
        self.amqp_url = amqp_url
        self._user = urlsplit(amqp_url).username or "guest"

    async def open(self) -> Channel:
        """Makes exchange and queue."""
        self._connection = await aiormq.connect(self.amqp_url)
        self._channel = await self._connection.channel()
        await self._channel.exchange_declare("lab", exchange_type="topic", durable=True)
        await self.make_queue()
        return self

    async def make_queue(self) -> None:
        """Makes the queue, with the delivery limit that keeps the place of what is returned."""
        arguments: dict[str, Any] = {"x-queue-type": "quorum", "x-single-active-consumer": True, "x-delivery-limit": 1_000_000}
        await self._channel.queue_declare(QUEUE, durable=True, arguments=arguments)
        await self._channel.queue_bind(QUEUE, "lab", "thing.*")

    async def delete_queue(self) -> None:
        """Deletes the queue, which cancels its consumers."""
        await self._channel.queue_delete(QUEUE)

    async def publish(self, *envelopes: Envelope, exchange: str = "lab", routing_key: str | None = None) -> None:
        """Sends envelopes in order and waits until the broker has them."""
        await asyncio.gather(
            *(
                self._channel.basic_publish(
                    envelope.body,
                    exchange=exchange,
                    routing_key=routing_key or envelope.type,
                    properties=envelope.properties(self._user),
                )
                for envelope in envelopes
            )
        )

    async def depth(self) -> int:
        """Messages in the queue that are ready."""
        return (await self._channel.queue_declare(QUEUE, passive=True)).message_count or 0

    async def close(self) -> None:
        """Closes the connection."""
        await self._connection.close()


def consumer(
    ledger: Ledger, amqp_url: str, service: Service, *, batch: int = 50, patience: float = 60, **options: Any
) -> EventBroker:
    """A copy of the service's consumers, to be started."""
    settings = Settings(database_url=ledger.url, amqp_url=amqp_url, batch_count=batch)
    broker = EventBroker(service, settings, **options)
    subscribers_for(service, settings, ledger.database, Failures(service), broker, observe=ledger.observe, patience=patience)
    return broker
