"""A copy of a service tells operations how it is doing: when something changed, now and then, and when it ends."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select
from sqlalchemy import event as sa_event

from broker import clock
from broker._batch import Effect
from broker._depth import Depth
from broker._health import Messaging
from broker._metrics import Metrics
from broker._presence import GRACE, QUIET, Presence
from broker._tables import outbox
from contracts.backbone import ServiceCopyChanged
from tests.broker.failing import Desk
from tests.broker.test_metrics import envelope

ROUND = 5.0


@dataclass
class Watched:
    """A copy of the desk, whose rounds the test makes, one every five seconds of business time."""

    desk: Desk
    metrics: Metrics = field(default_factory=Metrics)
    waiting: dict[str, int] | None = field(default_factory=dict)
    messaging: Messaging = field(default_factory=Messaging)
    is_relayed: bool = True
    told: list[ServiceCopyChanged] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.presence = Presence(
            self.desk.database, self.desk.service, self.metrics, where=lambda: "here:1", messaging=lambda: self.messaging,
            depths=self.depths, interval=ROUND,
        )  # fmt: skip

    async def depths(self, queues: Iterable[str]) -> dict[str, Depth] | None:
        return {queue: Depth(self.waiting.get(queue, 0), 1) for queue in queues} if self.waiting is not None else None

    async def rounds(self, count: int = 1) -> list[ServiceCopyChanged]:
        """Everything told so far, after so many rounds more."""
        for _ in range(count):
            await self.presence.run_once()
            await self.relay()
            clock.shift += timedelta(seconds=ROUND)
        return self.told

    async def relay(self) -> None:
        """Takes what is in the outbox, as a relay does."""
        query = select(outbox.c.body).where(outbox.c.type == ServiceCopyChanged.contract.name).order_by(outbox.c.position)
        async with self.desk.database.transaction() as session:
            bodies = (await session.scalars(query)).all()
            if self.is_relayed:
                self.told += [ServiceCopyChanged.read(body, 1) for body in bodies]
                await session.execute(delete(outbox))


@pytest.fixture
async def watched(desk: Desk) -> Watched:
    """A copy that has nothing to do."""
    return Watched(desk)


async def test_it_says_how_it_is_doing_and_then_only_what_is_new(watched: Watched) -> None:
    """Nothing changes: one word, and another after a minute; each in time before the other is overdue."""
    told = await watched.rounds()
    (first,) = told
    assert (first.copy_id, first.service) == ("desk@here:1", "desk")
    assert [(each.queue, each.types, each.waiting) for each in first.subscriptions] == [("desk.count", ["shop.sold"], 0)]
    told = await watched.rounds(QUIET)
    (second,) = told[1:]
    assert (second.reported_at - first.reported_at).total_seconds() == pytest.approx(QUIET * ROUND, abs=ROUND / 2)
    assert timedelta(0) < first.next_at - second.reported_at <= timedelta(seconds=GRACE * ROUND)


async def test_nothing_new_costs_little(watched: Watched) -> None:
    """Where nothing is told, no event of the outbox is counted and no version drawn."""
    await watched.rounds()
    costly: list[str] = []

    def note(*call: Any) -> None:
        if "nextval" in call[2] or re.search(r"count\(\*\) AS \w+\s+FROM backbone.outbox", call[2]):
            costly.append(call[2])

    sa_event.listen(watched.desk.database.engine.sync_engine, "before_cursor_execute", note)
    await watched.presence.run_once()
    assert costly == []
    clock.shift += timedelta(seconds=QUIET * ROUND)
    await watched.presence.run_once()
    assert len(costly) == 3, "the count, the version, and the place in the outbox"


async def test_work_is_told_as_rates(watched: Watched) -> None:
    """Effects in each second and their lag since the round before; and once more when it has ended."""
    await watched.rounds()
    watched.metrics.observe(watched.desk.subscription, Effect(handled=tuple(envelope(0.2) for _ in range(30))))
    (_, busy, calm) = await watched.rounds(5)
    (then, after) = (busy.subscriptions[0], calm.subscriptions[0])
    assert (then.handled, after.handled, after.per_second, after.lag_seconds) == (30, 30, 0, None)
    assert then.per_second == pytest.approx(30 / ROUND, rel=0.2)
    assert then.lag_seconds == pytest.approx(0.2, abs=0.1)
    assert then.latest is not None


async def test_a_backlog_is_told_since_it_was_first_seen(watched: Watched) -> None:
    """As long as it lasts, also while the broker does not answer; forgotten when the queue is empty."""
    (empty,) = await watched.rounds()
    watched.waiting = {"desk.count": 3}
    since = (await watched.rounds(2))[-1].subscriptions[0].waiting_since
    assert since is not None
    assert since > empty.reported_at
    watched.waiting = None
    unknown = (await watched.rounds())[-1].subscriptions[0]
    assert (unknown.waiting, unknown.waiting_since) == (None, since)
    watched.waiting = {"desk.count": 9}
    assert (await watched.rounds())[-1].subscriptions[0].waiting_since == since
    watched.waiting = {}
    assert (await watched.rounds())[-1].subscriptions[0].waiting_since is None


async def test_what_it_consumes_and_what_waits_to_be_sent(watched: Watched) -> None:
    """As `/health/messaging` has it; and the outbox, in which its own words wait too."""
    watched.messaging = Messaging(relay="active", queues={"desk.count": "at work"})
    watched.is_relayed = False
    await watched.rounds(2)
    watched.is_relayed = True
    last = (await watched.rounds())[-1]
    assert (last.relay, last.subscriptions[0].consuming, last.unsent) == ("active", "at work", 1)
    assert last.unsent_seconds >= ROUND


async def test_it_says_that_it_ends(watched: Watched) -> None:
    """With a newer version than all before; a copy that never said anything says no farewell either."""
    await watched.presence.close()
    await watched.relay()
    assert watched.told == []
    (first,) = await watched.rounds()
    await watched.presence.close()
    await watched.relay()
    last = watched.told[-1]
    assert last.ended_at is not None
    assert last.state_version > first.state_version
    assert not last.deleted
