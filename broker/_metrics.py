"""What a service counts and times, for Prometheus. Names and labels of the platform's own making only: nothing personal."""

from __future__ import annotations

import asyncio
from collections import Counter as Counted
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from broker._batch import Effect
from broker._clock import clock
from broker._dead_letters import tally
from broker._marks import ages
from broker._replica_runs import last_runs
from broker._subscriptions import Subscription
from broker._tables import failure_count, outbox

PATIENCE = 5.0
"""Seconds that the database has for an answer."""

STATES = ("retrying", "waiting", "held", "dead")
SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500)


@dataclass(frozen=True, slots=True)
class Work:
    """What a copy of a service did for a subscription since it started.

    seconds: from commit to effect, summed up over the events. latest: when the one was published that came last.
    """

    events: int
    seconds: float
    latest: datetime | None


NO_WORK = Work(0, 0.0, None)


class Metrics:
    """The metrics of one service, in a registry of their own: services share processes, not numbers.

    It is what a Relay tells (`relayed`, `returned`) and what a batch tells (`observe`).

    aging: the replicas that may not be too old, by their names.
    """

    def __init__(self, aging: Collection[str] = ()) -> None:
        self._aging = aging
        self.registry = CollectorRegistry()
        own: Mapping[str, Any] = {"registry": self.registry, "namespace": "nilecare"}
        self._work: dict[str, Work] = {}
        self._relayed = Counter("outbox_relayed", "Events confirmed by the broker", **own)
        self._returned = Counter("outbox_returned", "Events that reached no queue though one subscribes", ["type"], **own)
        self._confirm = Histogram("outbox_confirm_seconds", "From sending to the broker's confirm", buckets=SECONDS, **own)
        self._up = Gauge("database_up", "Whether the database answered when these metrics were asked for", **own)
        self._depth = Gauge("outbox_depth_events", "Events that wait to be relayed", **own)
        self._age = Gauge("outbox_oldest_age_seconds", "Age of the oldest event that waits to be relayed", **own)
        by = ["subscription"]
        self._latency = Histogram("effect_latency_seconds", "From commit to effect", by, buckets=SECONDS, **own)
        self._size = Histogram("batch_events", "Events that took effect in one transaction", by, buckets=SIZES, **own)
        self._duplicates = Counter("duplicates_dropped", "Deliveries of what had been seen before", by, **own)
        self._held = Counter("messages_held", "Messages laid behind a failed one of their key", by, **own)
        self._failures = Counter("messages_failed", "Messages that could not be handled when they came", by, **own)
        self._failed = Gauge("failed_messages", "Messages kept because they could not be handled", [*by, "state"], **own)
        self._blocking = Gauge("dead_letters_blocking", "Dead letters with later messages of their key behind them", by, **own)
        self._drift = Gauge(
            "replica_drift_keys",
            "Keys that the last run over a replica, of each owner, found not as it has them",
            ["replica"],
            **own,
        )
        self._filling = Gauge(
            "replica_run_rows", "Rows seen by the last run over a replica, of each owner", ["replica", "purpose"], **own
        )
        self._lag = Gauge(
            "replica_lag_seconds", "From the owner's commit to the replica, for its latest state", ["replica"], **own
        )

        self._replica_age = Gauge(
            "replica_age_seconds", "How old a replica is at most, for those that may not be too old", ["replica"], **own
        )

    def relayed(self, count: int, seconds: float) -> None:
        """`count` events were confirmed `seconds` after they were sent."""
        self._relayed.inc(count)
        self._confirm.observe(seconds)

    def returned(self, type_: str) -> None:
        """An event reached no queue although somebody subscribes to its type."""
        self._returned.labels(type_).inc()

    def observe(self, subscription: Subscription, effect: Effect) -> None:
        """One transaction of a subscription ended."""
        name, now = subscription.name, clock.now()
        latencies = [max(0.0, (now - envelope.time).total_seconds()) for envelope in effect.handled]
        latency = self._latency.labels(name)
        for seconds in latencies:
            latency.observe(seconds)
        if latencies:
            done = self.work(name)
            seconds, latest = done.seconds + sum(latencies), effect.handled[-1].time
            self._work[name] = Work(done.events + len(latencies), seconds, latest)
            self._size.labels(name).observe(len(latencies))
        self._duplicates.labels(name).inc(effect.duplicates)
        self._held.labels(name).inc(effect.held)
        self._failures.labels(name).inc(effect.failed)

    def observe_replica(self, subscription: Subscription, effect: Effect) -> None:
        """`observe`, for the subscription that feeds a replica."""
        self.observe(subscription, effect)
        if effect.handled:
            behind = clock.now() - effect.handled[-1].time
            self._lag.labels(subscription.name).set(max(0.0, behind.total_seconds()))

    def work(self, subscription: str) -> Work:
        """What was done for a subscription, by its name."""
        return self._work.get(subscription, NO_WORK)

    async def exposition(self, engine: AsyncEngine) -> bytes:
        """All metrics in Prometheus' text format. What stands in the database is read now, or left as it was if it is gone."""
        try:
            async with asyncio.timeout(PATIENCE), engine.connect() as connection:
                await self._look(connection)
            self._up.set(1)
        except Exception:
            self._up.set(0)
        return generate_latest(self.registry)

    async def _look(self, connection: AsyncConnection) -> None:
        depth, age = await outbox_backlog(connection)
        failed = await failed_by_state(connection)
        dead = [each for each in await tally(connection) if each.state == "dead"]
        self._depth.set(depth)
        self._age.set(age)
        self._replica_age.clear()
        for replica, how_old in (await ages(connection, self._aging)).items() if self._aging else ():
            self._replica_age.labels(replica).set(how_old.total_seconds())
        self._failed.clear()
        for (subscription, state), count in failed.items():
            self._failed.labels(subscription, state).set(count)
        self._blocking.clear()
        self._filling.clear()
        drift, rows = Counted[str](), Counted[tuple[str, str]]()
        for run in await last_runs(connection):
            drift[run.name] += run.drift
            rows[run.name, run.purpose] += run.rows
        for replica, count in drift.items():
            self._drift.labels(replica).set(count)
        for labels, count in rows.items():
            self._filling.labels(*labels).set(count)
        for each in dead:
            self._blocking.labels(each.subscription).set(each.blocking)


async def outbox_backlog(connection: AsyncConnection) -> tuple[int, float]:
    """How many events wait to be relayed, and the age of the oldest in seconds. Counts them: a tenth of a second a million."""
    depth = await connection.scalar(select(func.count()).select_from(outbox))
    return depth or 0, await oldest_unsent(connection) or 0.0


async def oldest_unsent(connection: AsyncConnection) -> float | None:
    """The age in seconds of the oldest event that waits to be relayed; None where none waits."""
    oldest = await connection.scalar(select(outbox.c.occurred_at).order_by(outbox.c.position).limit(1))
    return max(0.0, (clock.now() - oldest).total_seconds()) if oldest else None


async def failed_by_state(connection: AsyncConnection) -> dict[tuple[str, str], int]:
    """How many messages are kept, by subscription and state."""
    columns = (failure_count.c.subscription, failure_count.c.state)
    total = func.sum(failure_count.c.by)
    rows = await connection.execute(select(*columns, total).group_by(*columns).having(total > 0))
    return {(subscription, state): int(count) for subscription, state, count in rows}
