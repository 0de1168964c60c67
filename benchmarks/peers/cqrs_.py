"""python-cqrs: its outbox and its producer, and its event mediator behind FastStream, with an inbox.

The broker for RabbitMQ that comes with it declares a queue that is neither durable nor a quorum queue, and its messages are not
persistent: RabbitMQ loses them when it ends. The option `default` relays with it. Otherwise the producer is given a broker that
does keep them, by the interface that is there for brokers of one's own.
"""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Any, TypeAlias

import aio_pika
import cqrs
import di
import uvloop
from aio_pika.abc import AbstractExchange
from cqrs.adapters.amqp import amqp_publisher_factory
from cqrs.bootstrap import events as bootstrap
from cqrs.message_brokers import Message
from cqrs.message_brokers.amqp import AMQPMessageBroker
from cqrs.outbox.sqlalchemy import OutboxModel
from faststream import AckPolicy, Depends
from faststream.rabbit import Channel, QueueType, RabbitBroker, RabbitQueue
from sqlalchemy.ext.asyncio import async_sessionmaker

from benchmarks.contending import Prepared, Where, Workload, main
from benchmarks.effects import event_class, events
from benchmarks.peers.asynchronous import engine_for, make_tables, take

QUEUE = "cqrs_peer"
TOGETHER = 500

BATCH = {"batch_size": 1000}
"""docs/outbox/best_practices.md, "Batch processing": 100 by default."""

PREFETCH = 100
"""FastStream takes whatever waits, by default."""


Notification: TypeAlias = cqrs.PydanticNotificationEvent[dict[str, Any]]
"""An event in its envelope. The payload is what JSON knows: its own way there knows no decimal numbers."""


class KeepingBroker:
    """A MessageBroker: persistent messages to durable queues, each confirmed."""

    def __init__(self, exchange: AbstractExchange) -> None:
        self._exchange = exchange

    async def send_message(self, message: Message) -> None:
        made = aio_pika.Message(
            message.payload_bytes or b"", message_id=str(message.message_id), delivery_mode=aio_pika.DeliveryMode.PERSISTENT
        )
        await self._exchange.publish(made, message.topic)


class PythonCqrs:
    """The producer of its README, which pauses only when nothing waits. Options: `default` leaves every setting as it comes."""

    def __init__(self, where: Where, options: frozenset[str]) -> None:
        self._where = where
        self._tuned = "default" not in options
        self._engine = engine_for(where)
        self._sessions = async_sessionmaker(self._engine, expire_on_commit=False)
        channel = Channel(prefetch_count=PREFETCH) if self._tuned else None
        self._rabbit = RabbitBroker(where.amqp_url, logger=None, default_channel=channel)
        self._queue = RabbitQueue(QUEUE, queue_type=QueueType.QUORUM, durable=True)
        self._events = cqrs.OutboxedEventMap()
        self._events.register("posted", Notification)

    async def prepare(self, workload: Workload, count: int) -> Prepared:
        await make_tables(self._engine, OutboxModel.metadata)
        made = [
            Notification(event_name="posted", topic=QUEUE, payload=event.model_dump(mode="json"))
            for event in events(workload, count)
        ]
        await self._rabbit.connect()
        if workload != "relay":
            await self._rabbit.declare_queue(self._queue)
            for begin in range(0, count, TOGETHER):
                await asyncio.gather(*(self._publish(event) for event in made[begin : begin + TOGETHER]))
        else:
            await self._rabbit.declare_queue(self._queue if self._tuned else RabbitQueue(QUEUE, durable=False))
            async with self._sessions() as session:
                outbox = cqrs.SqlAlchemyOutboxedEventRepository(session, event_map=self._events)
                for event in made:
                    outbox.add(event)
                await outbox.commit()
        await self._close()
        return Prepared(QUEUE, self._where.database_url)

    async def work(self, workload: Workload) -> None:
        try:
            if workload == "relay":
                await self._relay()
            else:
                self._subscribe(workload)
                await self._rabbit.start()
                await asyncio.Event().wait()
        finally:
            await self._close()

    async def _publish(self, event: Notification) -> None:
        await self._rabbit.publish(event.model_dump(mode="json"), self._queue, message_id=str(event.event_id), persist=True)

    async def _relay(self) -> None:
        connection = await aio_pika.connect_robust(self._where.amqp_url)
        channel = await connection.channel()
        broker = (
            KeepingBroker(channel.default_exchange)
            if self._tuned
            else AMQPMessageBroker(amqp_publisher_factory(self._where.amqp_url), QUEUE)
        )
        async with connection, self._sessions() as session:
            repository = cqrs.SqlAlchemyOutboxedEventRepository(session, event_map=self._events)
            producer = cqrs.EventProducer(broker, repository)
            async for waiting in producer.event_batch_generator(**(BATCH if self._tuned else {})):
                for event in waiting:
                    await producer.send_message(event)
                await producer.repository.commit()
                if not waiting:
                    await asyncio.sleep(0.1)

    def _subscribe(self, workload: Workload) -> None:
        sessions, event_type = self._sessions, event_class(workload)

        class Take(cqrs.EventHandler[Notification]):  # type: ignore[misc]
            async def handle(self, event: Notification) -> None:
                await take(sessions, workload, event.event_id, event_type.model_validate(event.payload))

        # docs/faststream.md, "Use Singleton Mediator Factory".
        @cache
        def mediator_factory() -> cqrs.EventMediator:
            return bootstrap.bootstrap(
                di_container=di.Container(), events_mapper=lambda mapper: mapper.bind(Notification, Take)
            )

        the_mediator = Depends(mediator_factory)

        async def hear(body: Notification, mediator: cqrs.EventMediator = the_mediator) -> None:
            await mediator.send(body)

        self._rabbit.subscriber(self._queue, ack_policy=AckPolicy.NACK_ON_ERROR)(hear)

    async def _close(self) -> None:
        await self._rabbit.stop()
        await self._engine.dispose()


if __name__ == "__main__":
    main(PythonCqrs, uvloop.run)
