"""Telling the service `operations` that this copy of a service is there, and how its messages flow.

It goes the way of every event: the outbox keeps it while the broker is away, and whoever hears it late sees when it was said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import DateTime, cast
from sqlalchemy.ext.asyncio import AsyncSession

from broker._clock import clock
from broker._crash_points import CrashPoint
from broker._database import Database
from broker._depth import Depth, Depths
from broker._health import Messaging
from broker._loop import Loop
from broker._metrics import NO_WORK, Metrics, Work, oldest_unsent, outbox_backlog
from broker._replica_runs import last_runs
from broker._service import Service
from broker._subscriptions import Subscription
from broker._tables import told
from broker._told import next_versions, tell, tell_deleted
from contracts.backbone import ReplicaState, ServiceCopyChanged, SubscriptionState

QUIET = 12
"""Rounds after which a copy says how it is doing even though nothing has changed."""

GRACE = 3
"""Rounds that a report may be late before the copy is in trouble."""

FORGOTTEN = timedelta(days=7)
"""After this long what a copy said that is no more is deleted, by the copies that are there."""


_reported_at = cast(told.c.state["reported_at"].astext, DateTime(timezone=True))


class Presence(Loop):
    """Publishes how one copy of a service is doing: in each round in which that changed, and now and then where it did not.

    where: the name of the copy, once it listens. messaging: how its messages flow. depths: what waits in its queues.
    interval: seconds of a round.
    """

    def __init__(
        self,
        database: Database,
        service: Service,
        metrics: Metrics,
        *,
        where: Callable[[], str],
        messaging: Callable[[], Messaging],
        depths: Depths,
        interval: float,
    ) -> None:
        super().__init__(f"{service.name}.presence", interval=interval)
        self._database, self._service, self._metrics = database, service, metrics
        self._where, self._messaging, self._depths = where, messaging, depths
        self._started = self._looked = self._due = clock.now()
        self._work: dict[str, Work] = {}
        self._waiting_since: dict[str, datetime] = {}
        self._told: ServiceCopyChanged | None = None
        self._moving: object = None

    async def run_once(self) -> bool:
        """Looks how the copy is doing, and tells it if it is worth it: else nothing is counted, and no version drawn."""
        queues = [self._service.queue(each) for each in self._service.subscriptions]
        depths = await self._depths(queues) or {}
        now, messaging = clock.now(), self._messaging()
        subscriptions = [self._look(each, messaging, depths, now) for each in self._service.subscriptions]
        self._looked = now
        async with self._database.lent() as session:
            replicas = await last_runs(session)
            is_unsent = await oldest_unsent(await session.connection()) is not None
            moving = messaging.relay, is_unsent, _heard(subscriptions), replicas
            if self._told is None or now >= self._due or moving != self._moving:
                self._told = await self._state(session, now, messaging.relay, subscriptions, replicas)
                await tell(session, ServiceCopyChanged, [self._told])
                await tell_deleted(session, ServiceCopyChanged, _reported_at < now - FORGOTTEN)
                await session.settle(CrashPoint.PRESENCE_REPORTED)
                self._moving, self._due = moving, now + timedelta(seconds=QUIET * self.interval)
        return False

    async def _state(
        self,
        session: AsyncSession,
        now: datetime,
        relay: Literal["active", "standing by"],
        subscriptions: list[SubscriptionState],
        replicas: list[ReplicaState],
    ) -> ServiceCopyChanged:
        unsent, seconds = await outbox_backlog(await session.connection())
        return ServiceCopyChanged(
            copy_id=f"{self._service.name}@{self._where()}",
            service=self._service.name,
            started_at=self._started,
            reported_at=now,
            next_at=now + timedelta(seconds=(QUIET + GRACE) * self.interval),
            relay=relay,
            unsent=unsent,
            unsent_seconds=seconds,
            publishes=[event.contract.name for event in self._service.events],
            dead_queue=self._service.dead_queue,
            subscriptions=subscriptions,
            replicas=replicas,
            state_version=(await next_versions(session, 1))[0],
        )

    async def close(self) -> None:
        """Says good-bye."""
        if self._told is None:
            return
        async with self._database.transaction(CrashPoint.PRESENCE_REPORTED) as session:
            (version,) = await next_versions(session, 1)
            ended = {"state_version": version, "reported_at": clock.now(), "ended_at": clock.now()}
            await tell(session, ServiceCopyChanged, [self._told.model_copy(update=ended)])
        self._told = None

    def _look(
        self, subscription: Subscription, messaging: Messaging, depths: Mapping[str, Depth], now: datetime
    ) -> SubscriptionState:
        name, queue = subscription.name, self._service.queue(subscription)
        before, work = self._work.get(name, NO_WORK), self._metrics.work(name)
        self._work[name] = work
        handled, passed = work.events - before.events, (now - self._looked).total_seconds()
        depth = depths.get(queue)
        if depth is not None and not depth.messages:
            self._waiting_since.pop(name, None)
        elif depth is not None:
            self._waiting_since.setdefault(name, now)
        return SubscriptionState(
            name=name,
            queue=queue,
            types=[event.contract.name for event in subscription.events],
            consuming=messaging.queues.get(queue, "not consuming"),
            waiting=depth.messages if depth is not None else None,
            waiting_since=self._waiting_since.get(name),
            handled=work.events,
            per_second=handled / passed if passed > 0 else 0.0,
            lag_seconds=(work.seconds - before.seconds) / handled if handled else None,
            latest=work.latest,
        )


def _heard(subscriptions: Sequence[SubscriptionState]) -> list[SubscriptionState]:
    """Those whose changes are worth telling: what hears these very reports changes with each of them."""
    return [each for each in subscriptions if ServiceCopyChanged.contract.name not in each.types]
