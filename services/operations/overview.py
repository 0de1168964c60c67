"""How every service is doing: what its copies said last, what the broker says waits, what failed; and what is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain, groupby

from sqlalchemy import exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import Depth, Depths, age, clock
from contracts.backbone import ReplicaState, ServiceCopyChanged, SubscriptionState
from services.operations.replicas import FailureCount, ServiceCopyReference
from services.operations.rules import FORGOTTEN, LATE

Failed = Mapping[tuple[str, str], Mapping[str, int]]
"""How many messages failed, by service and subscription, in each state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A subscription and its queue.

    waiting: messages in it; None where nobody knows. waiting_since: when the first of them came, at the earliest; None where
    none waits, or none had been seen when the service said something last. lag_seconds: from commit to effect. failed: how
    many messages of it are kept in each state.
    """

    name: str
    subscription: str
    types: list[str]
    is_taken: bool
    waiting: int | None
    waiting_since: datetime | None
    per_second: float
    lag_seconds: float | None
    handled: int
    failed: Mapping[str, int]

    @property
    def troubles(self) -> list[str]:
        """What is wrong with it, as sentences."""
        return [*([] if self.is_taken else [f"Nobody takes from {self.name}."]), *self.arrears]

    @property
    def arrears(self) -> list[str]:
        """What is wrong with it whether or not anybody takes from it."""
        found = []
        if self.waiting_since is not None and _is_late(self.waiting_since):
            found.append(f"{self.name} is behind by up to {age(self.waiting_since)}.")
        if dead := self.failed.get("dead", 0):
            found.append(f"{dead:,} of {self.name} {'is' if dead == 1 else 'are'} dead.")
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A process that runs a service.

    is_silent: it neither ended nor said something in time after `reported_at`, although the broker is there to carry it.
    """

    name: str
    started_at: datetime
    reported_at: datetime
    ended_at: datetime | None
    relay: str
    is_silent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceState:
    """A service: its copies, its outbox, its queues.

    unsent_since: when the first event that waits to be sent was published. given_up: messages that the broker gave up, in the
    service's queue for them.
    """

    name: str
    copies: list[Copy]
    publishes: list[str]
    unsent: int
    unsent_since: datetime | None
    given_up: int | None
    queues: list[Queue]
    replicas: list[ReplicaState]

    @property
    def troubles(self) -> list[str]:
        """What is wrong with it, as sentences; none when all is well."""
        found = [f"{copy.name} has said nothing for {age(copy.reported_at)}." for copy in self.copies if copy.is_silent]
        if not self.is_running:
            last = max(copy.reported_at for copy in self.copies)
            found = [f"No copy of {self.name} has run for {age(last)}; {self.waiting:,} messages wait in its queues."]
            if any(queue.is_taken for queue in self.queues):
                found = [f"{self.name} takes from its queues but has said nothing for {age(last)}: do its events get out?"]
        if self.unsent_since is not None and _is_late(self.unsent_since):
            found.append(f"Events of {self.name} have waited {age(self.unsent_since)} to be sent.")
        if self.given_up:
            found.append(f"{self.given_up:,} wait in {self.name}.dead, which the broker gave up.")
        told = [queue.troubles if self.is_running else queue.arrears for queue in self.queues]
        return [*found, *chain.from_iterable(told)]

    @property
    def is_running(self) -> bool:
        """Whether a copy of it has neither ended nor fallen silent."""
        return any(copy.ended_at is None and not copy.is_silent for copy in self.copies)

    @property
    def failed(self) -> Mapping[str, int]:
        """How many of its messages are kept, in each state."""
        total: Counter[str] = Counter()
        for queue in self.queues:
            total.update(queue.failed)
        return total

    @property
    def waiting(self) -> int:
        """Messages in its queues."""
        return sum(queue.waiting or 0 for queue in self.queues)

    @property
    def per_second(self) -> float:
        """Events that take effect in it each second."""
        return sum(queue.per_second for queue in self.queues)


@dataclass(frozen=True, slots=True)
class Link:
    """One service hears another: by which event types, in which queues."""

    publisher: str
    subscriber: str
    types: list[str] = field(default_factory=list)
    queues: list[Queue] = field(default_factory=list)

    @property
    def is_well(self) -> bool:
        """Whether nothing is wrong with what is heard."""
        return not any(queue.troubles for queue in self.queues)


@dataclass(frozen=True, slots=True)
class Platform:
    """Everything. is_broker_there: whether the broker says what waits."""

    services: list[ServiceState]
    is_broker_there: bool

    @property
    def troubles(self) -> list[tuple[str, str]]:
        """What is wrong: the service, and a sentence."""
        return [(service.name, trouble) for service in self.services for trouble in service.troubles]

    @property
    def links(self) -> list[Link]:
        """Who hears whom, without what every service says and hears of the backbone itself."""
        publisher = {type_: service.name for service in self.services for type_ in service.publishes}
        found: dict[tuple[str, str], Link] = {}
        for service in self.services:
            for queue in service.queues:
                for type_ in queue.types:
                    if (source := publisher.get(type_)) is not None and source != service.name:
                        link = found.setdefault((source, service.name), Link(source, service.name))
                        link.types.append(type_)
                        if queue not in link.queues:
                            link.queues.append(queue)
        return list(found.values())


async def told(session: AsyncSession) -> list[ServiceCopyChanged]:
    """What copies said last, in order of services."""
    row = ServiceCopyReference
    recent = row.reported_at > clock.now() - FORGOTTEN
    rows = await session.scalars(select(row).where(~row.deleted, recent).order_by(row.service, row.id))
    return [each.state for each in rows]


async def is_known(session: AsyncSession, service: str) -> bool:
    """Whether anything was ever said by a service of that name, or failed in it."""
    said = exists().where(ServiceCopyReference.service == service)
    failed = exists().where(FailureCount.service == service)
    return bool(await session.scalar(select(or_(said, failed))))


async def is_down(session: AsyncSession, service: str) -> bool:
    """Whether copies of a service are known and none of them is there."""
    row = ServiceCopyReference
    copies = (await session.scalars(select(row).where(~row.deleted, row.service == service))).all()
    return bool(copies) and not any(_is_there(copy.state) for copy in copies)


async def look(session: AsyncSession, depths: Depths) -> Platform:
    """How the platform is doing now."""
    copies = await told(session)
    queues = [queue for copy in copies for queue in (copy.dead_queue, *(each.queue for each in copy.subscriptions))]
    return put_together(copies, await depths(dict.fromkeys(queues)), await _failed(session))


def put_together(copies: Iterable[ServiceCopyChanged], depths: Mapping[str, Depth] | None, failed: Failed) -> Platform:
    """The platform, from what its copies said last, the depths of its queues and what failed. copies: in order of services."""
    services = [_service(name, list(own), depths, failed) for name, own in groupby(copies, lambda copy: copy.service)]
    return Platform(services, depths is not None)


def _service(name: str, copies: list[ServiceCopyChanged], found: Mapping[str, Depth] | None, failed: Failed) -> ServiceState:
    depths = found or {}
    present = [copy for copy in copies if not _is_gone(copy, copies)]
    newest = max(present, key=lambda copy: copy.reported_at)
    dead = depths.get(newest.dead_queue)
    return ServiceState(
        name=name,
        copies=[
            Copy(
                name=copy.copy_id,
                started_at=copy.started_at,
                reported_at=copy.reported_at,
                ended_at=copy.ended_at,
                relay=copy.relay,
                is_silent=_is_silent(copy) and found is not None,
            )
            for copy in present
        ],
        publishes=newest.publishes,
        unsent=newest.unsent,
        unsent_since=newest.reported_at - timedelta(seconds=newest.unsent_seconds) if newest.unsent else None,
        given_up=dead.messages if dead is not None else None,
        replicas=newest.replicas,
        queues=[_queue(each, present, newest, depths, failed.get((name, each.name), {})) for each in newest.subscriptions],
    )


def _queue(
    told: SubscriptionState,
    copies: Iterable[ServiceCopyChanged],
    newest: ServiceCopyChanged,
    depths: Mapping[str, Depth],
    failed: Mapping[str, int],
) -> Queue:
    everywhere = [each for copy in copies for each in copy.subscriptions if each.queue == told.queue]
    working = [each for copy in copies if _is_there(copy) for each in copy.subscriptions if each.queue == told.queue]
    depth = depths.get(told.queue)
    waiting_since = told.waiting_since or (None if _is_there(newest) else newest.reported_at)
    latest = max((each.latest for each in everywhere if each.latest is not None), default=None)
    return Queue(
        name=told.queue,
        subscription=told.name,
        types=told.types,
        is_taken=bool(depth.consumers) if depth is not None else any(each.consuming != "not consuming" for each in working),
        waiting=depth.messages if depth is not None else None,
        waiting_since=max(waiting_since, latest or waiting_since) if waiting_since and depth and depth.messages else None,
        per_second=sum(each.per_second for each in working),
        lag_seconds=max((each.lag_seconds for each in working if each.lag_seconds is not None), default=None),
        handled=sum(each.handled for each in working),
        failed=failed,
    )


def _is_silent(copy: ServiceCopyChanged) -> bool:
    return copy.ended_at is None and copy.next_at < clock.now()


def _is_there(copy: ServiceCopyChanged) -> bool:
    return copy.ended_at is None and not _is_silent(copy)


def _is_gone(copy: ServiceCopyChanged, copies: Iterable[ServiceCopyChanged]) -> bool:
    """Whether a copy is none to miss: it ended and others run, or fell silent and another was started after that."""
    if copy.ended_at is not None:
        return any(_is_there(other) for other in copies)
    return _is_silent(copy) and any(other.started_at > copy.reported_at for other in copies)


def _is_late(since: datetime) -> bool:
    return clock.now() - since > LATE


async def _failed(session: AsyncSession) -> Failed:
    by = (FailureCount.service, FailureCount.heard_by, FailureCount.state)
    total = func.sum(FailureCount.count)
    found: dict[tuple[str, str], dict[str, int]] = {}
    for service, subscription, state, count in await session.execute(select(*by, total).group_by(*by).having(total > 0)):
        found.setdefault((service, subscription), {})[state] = int(count)
    return found
