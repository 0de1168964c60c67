"""FastStream carries the backbone's consumers: its broker holds the connection, its life cycle, its middlewares.

Its RabbitMQ broker has no batch subscriber; `EventSubscriber` is one in its style. A batch is one FastStream message: each
broker middleware runs once per batch, dependencies and context are those of the batch, and the AsyncAPI document lists the
queue with the events it is for.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, cast

from aio_pika import RobustConnection
from aio_pika.connection import make_url
from aiormq.abc import AbstractConnection
from aiormq.exceptions import AMQPError
from faststream import AckPolicy
from faststream._internal.broker.registrator import Registrator
from faststream._internal.endpoint.subscriber import SubscriberUsecase
from faststream._internal.endpoint.subscriber.call_item import CallsCollection
from faststream.message import StreamMessage
from faststream.rabbit import ExchangeType, QueueType, RabbitBroker, RabbitExchange, RabbitQueue
from faststream.rabbit.configs import RabbitBrokerConfig
from faststream.rabbit.subscriber.config import RabbitSubscriberConfig, RabbitSubscriberSpecificationConfig
from faststream.rabbit.subscriber.specification import RabbitSubscriberSpecification
from faststream.rabbit.subscriber.usecase import RabbitSubscriber

from broker._batch import BatchProcessor, Failures, Observer, Processor
from broker._blame import is_reachable
from broker._consumption import PATIENCE, PREFETCH, Consumption
from broker._database import Database
from broker._delivery import Delivery
from broker._depth import Depth, depths_of
from broker._handover import Handover
from broker._intake import Intake
from broker._service import Service
from broker._settings import Settings
from broker._subscriptions import Subscription
from broker._wire import Wire

RECONNECT = 1.0
"""Seconds between attempts to reach the broker."""

LOOK, LAST_LOOK = 2.0, 5.0
"""Seconds that the broker has to say what waits in its queues, and to say it still when the connection is to be closed."""


@dataclass(slots=True)
class Batch:
    """The deliveries of one batch, as FastStream's middlewares see them; `processed` once they may be acknowledged."""

    service: str
    subscription: str
    deliveries: Sequence[Delivery]
    processed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueHealth:
    """How a queue is consumed by this process.

    registered: the broker has us as a consumer, at work or standing by. delivered: it gave us messages since we were
    registered, so that we are the one at work. careful: it handles messages one by one that may have killed the process.
    trouble: the class of the exception that stops us now. in_hand: messages whose transaction is under way.
    """

    queue: str
    registered: bool
    delivered: bool
    careful: bool
    trouble: str | None
    in_hand: int


class EventBroker(RabbitBroker):
    """FastStream's RabbitMQ broker for one service's consumers.

    It starts at once whether or not RabbitMQ is there, declares nothing, and logs nothing of what it carries.
    """

    def __init__(self, service: Service, settings: Settings, **options: Any) -> None:
        super().__init__(
            settings.amqp_url,
            app_id=service.name,
            logger=None,
            serializer=None,
            graceful_timeout=None,
            ack_policy=AckPolicy.MANUAL,
            **options,
        )
        self._connecting: asyncio.Task[None] | None = None
        self._looking = asyncio.Lock()
        self._look: asyncio.Task[Mapping[str, Depth] | None] | None = None

    async def _connect(self) -> RobustConnection:
        url = make_url(self._connection_kwargs["url"], fail_fast="0", reconnect_interval=str(RECONNECT))
        connection = RobustConnection(url)
        connection.kwargs["transport_factory"] = Wire()
        self.config.connect(connection)
        self._connecting = asyncio.create_task(connection.connect())
        return connection

    async def start(self) -> None:
        """Begins to connect and starts the subscribers, which wait for the connection; returns at once."""
        await self.connect()
        for subscriber in self.subscribers:
            await subscriber.start()
        self.running = True

    async def stop(
        self,
        exc_type: type[BaseException] | None = None,
        exc_val: BaseException | None = None,
        exc_tb: TracebackType | None = None,
    ) -> None:
        """Lets each subscriber finish its batch, and who looks for depths their look, then closes the connection."""
        async with self._none_looking():
            await self._stop(exc_type, exc_val, exc_tb)

    @contextlib.asynccontextmanager
    async def _none_looking(self) -> AsyncIterator[None]:
        """No look begins; one under way has had its time to end."""
        is_over = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_LOOK):
                is_over = await self._looking.acquire()
        try:
            yield
        finally:
            if is_over:
                self._looking.release()
            elif self._look is not None:
                self._look.cancel()

    async def _stop(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        if self._connecting is not None and not self._connecting.done():
            self._connecting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._connecting
        try:
            await super().stop(exc_type, exc_val, exc_tb)
        except asyncio.CancelledError:
            # Broken off in mid-batch: until the connection is gone, nobody else is given the messages.
            if self._connection is not None:
                await self._connection.close()
            raise

    async def underlay(self) -> AbstractConnection:
        """The raw aiormq connection, which is waited for as long as it takes. Raises ConnectionError when it is closed."""
        connection = await self.connect()
        await connection.connected.wait()
        if connection.transport is None:
            raise ConnectionError("the connection is being closed")
        return connection.transport.connection

    @property
    def is_connected(self) -> bool:
        """Whether the connection is up."""
        return self._connection is not None and self._connection.connected.is_set()

    async def depths(self, queues: Iterable[str]) -> Mapping[str, Depth] | None:
        """What waits in queues of any service, as far as they are there; None when the broker does not answer."""
        try:
            async with asyncio.timeout(LOOK):
                await self._looking.acquire()
                self._look = asyncio.create_task(self._look_at(queues))
                self._look.add_done_callback(lambda _: self._looking.release())
                # Whoever gives up on an answer closes its channel, with a warning: one that is late is waited for by nobody.
                return await asyncio.shield(self._look)
        except (TimeoutError, AMQPError, ConnectionError, RuntimeError):
            return None
        except asyncio.CancelledError:
            # aiormq cancels whoever waits on a connection that is closed: that is no wish to end this task.
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return None

    async def _look_at(self, queues: Iterable[str]) -> Mapping[str, Depth] | None:
        return await depths_of(await self.underlay(), queues) if self.is_connected else None

    def health(self) -> list[QueueHealth]:
        """How each queue is consumed."""
        return [subscriber.health() for subscriber in self.subscribers if isinstance(subscriber, EventSubscriber)]


class EventSpecification(RabbitSubscriberSpecification):
    """What the AsyncAPI document says of a subscription: the schemas of its events."""

    events: tuple[type[Any], ...] = ()

    def get_payloads(self) -> list[tuple[dict[str, Any], str]]:
        return [({**event.model_json_schema(), "title": event.contract.name}, event.contract.name) for event in self.events]


class EventSubscriber(RabbitSubscriber):
    """Consumes one subscription's queue in batches and gives them to a Processor by way of FastStream's middlewares.

    Raw aiormq deliveries on a channel of its own, once the queues of earlier names are empty. `stop` finishes and
    acknowledges the batch in hand, then closes the channel.
    """

    def __init__(
        self,
        broker: EventBroker,
        service: Service,
        subscription: Subscription,
        settings: Settings,
        processor: Processor,
        *,
        handover: Handover,
        is_ready: Callable[[], Awaitable[bool]],
        patience: float = PATIENCE,
    ) -> None:
        name = service.queue(subscription)
        contract = subscription.events[0].contract
        queue = RabbitQueue(name, QueueType.QUORUM, durable=True, routing_key=contract.name, declare=False)
        exchange = RabbitExchange(contract.publisher, ExchangeType.TOPIC, declare=False)
        outer = cast("RabbitBrokerConfig", broker.config)
        calls: CallsCollection[Any] = CallsCollection()
        specification = EventSpecification(
            outer,
            RabbitSubscriberSpecificationConfig(
                title_=name, description_=subscription.handler.__doc__, queue=queue, exchange=exchange
            ),
            calls,
        )
        specification.events = subscription.events
        config = RabbitSubscriberConfig(
            _outer_config=outer, _ack_policy=AckPolicy.MANUAL, no_reply=True, queue=queue, exchange=exchange
        )
        super().__init__(config, specification, calls)
        self._parser, self._decoder = _parse, _decode
        self._service, self._subscription = service.name, subscription.name
        self._broker, self._handover = broker, handover
        self.consumption = Consumption(
            name, settings, open_=self._open, process=self._through_middlewares, is_ready=is_ready, patience=patience
        )
        self(_endpoint(subscription, processor))

    async def start(self) -> None:
        await SubscriberUsecase.start(self)
        self._post_start()
        await self.consumption.start()

    async def stop(self) -> None:
        await self.consumption.stop()
        await SubscriberUsecase.stop(self)

    def health(self) -> QueueHealth:
        """How the queue is consumed by this process."""
        consumption = self.consumption
        return QueueHealth(
            queue=consumption.queue,
            registered=consumption.is_registered,
            delivered=consumption.has_delivered,
            careful=consumption.is_careful,
            trouble=consumption.trouble,
            in_hand=consumption.in_hand,
        )

    async def _open(self) -> Intake:
        connection = await self._broker.underlay()
        await self._handover.complete(connection)
        return await Intake.open(connection, self.consumption.queue, prefetch=PREFETCH)

    async def _through_middlewares(self, deliveries: Sequence[Delivery]) -> None:
        batch = Batch(self._service, self._subscription, deliveries)
        await self.process_message(cast("Any", batch))
        if not batch.processed:
            raise RuntimeError("a middleware swallowed the batch's failure")


def subscribers_for(
    service: Service,
    settings: Settings,
    database: Database,
    failures: Failures,
    broker: EventBroker,
    *,
    observe: Observer | None = None,
    processor: Callable[[Subscription], Processor | None] = lambda subscription: None,
    patience: float = PATIENCE,
) -> list[EventSubscriber]:
    """A subscriber for each of the service's subscriptions, which `broker` starts and stops.

    processor: gives the processor of a subscription that is not handled event by event (a replica's); None for the others.
    observe: is told what each transaction did.
    patience: seconds that a batch is kept while the database is away.
    """

    asking: asyncio.Task[bool] | None = None

    async def is_ready() -> bool:
        """All that ask at once are answered together."""
        nonlocal asking
        if asking is None or asking.done():
            asking = asyncio.create_task(is_reachable(database.engine))
        return await asyncio.shield(asking)

    def processor_for(subscription: Subscription) -> Processor:
        return processor(subscription) or BatchProcessor(database, service, subscription, failures, observe=observe)

    subscribers = [
        EventSubscriber(
            broker,
            service,
            subscription,
            settings,
            processor_for(subscription),
            handover=Handover(database, service, subscription, settings, processor_for),
            is_ready=is_ready,
            patience=patience,
        )
        for subscription in service.subscriptions
    ]
    for subscriber in subscribers:
        # Past RabbitBroker's own method, which would make another kind of subscriber.
        Registrator.subscriber(broker, subscriber)
    return subscribers


def _endpoint(subscription: Subscription, processor: Processor) -> Callable[[Batch], Awaitable[None]]:
    """The function that FastStream calls with a batch, under the subscription's name."""

    async def process(batch: Batch) -> None:
        await processor.process(batch.deliveries)
        batch.processed = True

    process.__name__ = subscription.name
    process.__doc__ = subscription.handler.__doc__
    return process


async def _parse(batch: Any) -> StreamMessage[Any]:
    first = batch.deliveries[0]
    return StreamMessage(batch, batch, batch_headers=[one.headers for one in batch.deliveries], message_id=first.message_id)


async def _decode(message: StreamMessage[Any]) -> Any:
    return message.body
