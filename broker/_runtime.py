"""One service at work in a process: everything that runs beside its business, wired, started and stopped in order."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import structlog
from structlog.contextvars import bound_contextvars

from broker._acting import ActionLoop
from broker._batch import BatchProcessor, Effect, Processor
from broker._calls import CallWorkers
from broker._clock import ClockFollower
from broker._database import Database, engine_for
from broker._dead import DeadDrain
from broker._delivery import Delivery
from broker._failures import Failures
from broker._health import Messaging
from broker._http import application
from broker._idempotency import IdempotencyPurge
from broker._inbox import InboxKeeper
from broker._keeping import Housekeeping
from broker._listener import Listener
from broker._loop import Loop
from broker._marks import MarkKeeper
from broker._metrics import Metrics
from broker._operating import OperationLoop
from broker._ownership import check_ownership
from broker._presence import Presence
from broker._relay import Relay
from broker._replica_keeper import ReplicaKeeper
from broker._replica_processor import ReplicaProcessor, replica_fed_by
from broker._replica_runs import places_of
from broker._reporting import Reporter
from broker._retry import RetryLoop
from broker._schedule import Scheduler
from broker._service import Service
from broker._settings import Settings
from broker._subscriber import EventBroker, QueueHealth, subscribers_for
from broker._subscriptions import Subscription
from broker._tracing import check_tracing
from broker._trust import RevokedSessionPurge
from broker._wakeup import Notifier
from broker.errors import DeclarationError
from contracts.backbone import Consuming, FailedMessageChanged, ServiceCopyChanged
from contracts.operations import OperationRequested

log = structlog.get_logger("nilecare.runtime")

WORK, LOOPS, RELAY, DATABASE = 10.0, 3.0, 5.0, 2.0
"""Seconds to stop for the work in hand, the loops, the relay and the database's connections: 20 in all. What is not done then
is broken off, undone and done after the next start."""

BEGIN_AT_ONCE = 2
"""Loops whose first round is under way at once."""


class Runtime:
    """A service with its settings, ready to start.

    subscribed: the queues of the platform that subscribe to each event type (`check_platform`).
    Raises DeclarationError for a service, or settings, that cannot keep what the backbone promises.
    """

    def __init__(
        self,
        service: Service,
        settings: Settings,
        *,
        subscribed: Mapping[str, frozenset[str]],
    ) -> None:
        _check(service, settings)
        self.service, self.settings = service, settings
        self._heard = frozenset(name for name, queues in subscribed.items() if queues)
        self._places = places_of(service, subscribed)
        self._aging = [place for place in self._places if place.replica.fresh is not None]
        self.metrics = Metrics([place.name for place in self._aging])
        engine = engine_for(settings.database_url, pool_size=settings.pool_size)
        self.database = Database(engine, service.name, self._published)
        self.relay = Relay(service.name, settings, subscribed=subscribed, metrics=self.metrics)
        self._notifier = Notifier(service.name, engine)
        self._failures = Failures(service)
        self._retry = RetryLoop(self.database, service, self._failures)
        self._broker = EventBroker(service, settings)
        subscribers_for(service, settings, self.database, self._failures, self._broker, processor=self._processor)
        self._operations: OperationLoop | None = None
        self._loops = self._make_loops()
        app = application(
            service,
            settings,
            self.database,
            metrics=self.metrics,
            messaging=self.messaging,
            depths=self._broker.depths,
        )
        self._listener = Listener(app, settings.host, service.port if settings.port is None else settings.port)

    @property
    def port(self) -> int:
        """Where the API listens, once started."""
        return self._listener.port

    async def start(self) -> None:
        """Comes back when the API listens and every loop runs, whether or not the servers can be reached.

        Raises OSError when the port is taken.
        """
        with bound_contextvars(service=self.service.name):
            await self._listener.start()
            await self.relay.start()
            turns = asyncio.Semaphore(BEGIN_AT_ONCE)
            for loop in self._loops:
                await loop.start(turns)
            await self._broker.start()
        log.info("service.started", service=self.service.name, port=self.port)

    async def stop(self) -> None:
        """Ends requests and batches in hand, then the loops, the relay last: it has what they published."""
        await asyncio.gather(self._stop(self._listener.stop, WORK), self._stop(self._broker.stop, WORK))
        await asyncio.gather(*(self._stop(loop.stop, LOOPS) for loop in self._loops))
        await self._stop(self.relay.stop, RELAY)
        await self._stop(self.database.close, DATABASE)
        log.info("service.stopped", service=self.service.name)

    async def serve(self) -> None:
        """Runs until the process is asked to end (SIGTERM, SIGINT)."""
        await serve([self])

    def consuming(self) -> list[QueueHealth]:
        """How this process consumes each queue."""
        return self._broker.health()

    def messaging(self) -> Messaging:
        """How its messages flow, for `/health/messaging`."""
        return Messaging(
            connected=self._broker.is_connected,
            relay="active" if self.relay.is_active else "standing by",
            queues={queue.queue: _consuming(queue) for queue in self.consuming()},
        )

    def _make_loops(self) -> list[Loop]:
        service, settings, database = self.service, self.settings, self.database
        workers = [CallWorkers(database, service.calls, settings.outside)] if service.calls else []
        timed: list[Loop] = [self._retry, Scheduler(database), *workers]
        actions = ActionLoop(self._retry.retrier)
        if service.is_operated:
            self._operations = OperationLoop(database, self._retry.retrier, actions.wake)
        if ServiceCopyChanged.contract.name in self._heard:
            timed.append(self._presence())
        names = [subscription.name for subscription in service.subscriptions]
        trust = [RevokedSessionPurge(database.engine)] if service.keeps_trust else []
        return [
            *timed,
            *trust,
            actions,
            *([self._operations] if self._operations else []),
            *([MarkKeeper(database, self._aging)] if self._aging else []),
            Reporter(database, service.name, is_heard=FailedMessageChanged.contract.name in self._heard),
            Housekeeping(database, service.name, settings, actions.wake),
            self._notifier,
            ClockFollower(database.engine, lambda: _wake(timed)),
            DeadDrain(database, service, settings, self._failures),
            ReplicaKeeper(database, self._places, check_every=settings.replica_check_every),
            InboxKeeper(database, names, retention=settings.inbox_retention),
            IdempotencyPurge(database.engine),
        ]

    def _presence(self) -> Presence:
        return Presence(
            self.database,
            self.service,
            self.metrics,
            where=lambda: f"{socket.gethostname()}:{self.port}",
            messaging=self.messaging,
            depths=self._broker.depths,
            interval=self.settings.report_every.total_seconds(),
        )

    def _processor(self, subscription: Subscription) -> Processor:
        parts = (self.database, self.service, subscription, self._failures)
        if replica_fed_by(self.service, subscription) is not None:
            return _Named(subscription.name, ReplicaProcessor(*parts, observe=self._observe_replica))
        observe = self._observe_request if OperationRequested in subscription.events else self.metrics.observe
        return _Named(subscription.name, BatchProcessor(*parts, observe=observe))

    def _observe_replica(self, subscription: Subscription, effect: Effect) -> None:
        """What waited for a row that has arrived does not wait for the next round of retries."""
        self.metrics.observe_replica(subscription, effect)
        if effect.woken:
            self._retry.wake()

    def _observe_request(self, subscription: Subscription, effect: Effect) -> None:
        """What people ask for in operations is done as soon as it is known here."""
        self.metrics.observe(subscription, effect)
        if self._operations is not None:
            self._operations.wake()

    def _published(self) -> None:
        """Wakes the relay, wherever it is."""
        if self.relay.is_active:
            self.relay.wake()
        else:
            self._notifier.wake()

    async def _stop(self, step: Callable[[], Awaitable[None]], seconds: float) -> None:
        """One part of stopping: its failure must not keep the others from it."""
        try:
            async with asyncio.timeout(seconds):
                await step()
        except Exception as failure:
            log.warning("service.stop_failed", service=self.service.name, error=type(failure).__name__)


class _Named:
    """A processor whose log lines name the subscription."""

    def __init__(self, subscription: str, processor: Processor) -> None:
        self._subscription = subscription
        self._processor = processor

    async def process(self, deliveries: Sequence[Delivery]) -> None:
        with bound_contextvars(subscription=self._subscription):
            await self._processor.process(deliveries)


async def serve(runtimes: Iterable[Runtime], started: Callable[[Runtime], Any] = lambda runtime: None) -> None:
    """Runs services in this process until it is asked to end (SIGTERM, SIGINT); a second time ends it at once.

    started: is told of each service that runs. Raises OSError when a port is taken.
    """
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()

    def end() -> None:
        asked.set()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    running: list[Runtime] = []
    try:
        for runtime in runtimes:
            running.append(runtime)
            await runtime.start()
            started(runtime)
        await asked.wait()
    finally:
        await asyncio.gather(*(runtime.stop() for runtime in running))


def _check(service: Service, settings: Settings) -> None:
    check_tracing()
    check_ownership(service)
    absent = [name for name in service.secrets if not settings.outside.get(name)]
    if absent:
        variables = ", ".join(f"NILECARE_OUTSIDE_{name.upper()}" for name in absent)
        raise DeclarationError(f"{service.name} does not start without its secrets: set {variables}")
    if settings.inbox_retention <= settings.redelivery_window:
        raise DeclarationError(
            f"{service.name} would forget messages after {settings.inbox_retention}, but the broker may deliver one again "
            f"after {settings.redelivery_window}: make inbox_retention longer than redelivery_window"
        )


def _consuming(queue: QueueHealth) -> Consuming:
    if not queue.registered:
        return "not consuming"
    return "at work" if queue.delivered else "standing by"


def _wake(loops: Iterable[Loop]) -> None:
    for loop in loops:
        loop.wake()
