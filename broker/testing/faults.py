"""What can go wrong, done to a deployment while a test goes on: for real, on the servers."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch
from uuid import UUID

import aiormq
import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from broker._confirms import PublishingConnection
from broker._context import uuid7
from broker._envelope import Envelope
from broker._invocation import Invocation
from broker._sight import Said
from broker._tls import authorities
from broker.testing.deployment import Deployment
from contracts.event import Event

DROPPED = re.compile(r"nilecare_duplicates_dropped_total\{[^}]*\} (\S+)")
CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND usename = $1"
HANDLED = text("SELECT count(*) FROM backbone.inbox WHERE id = ANY (CAST(:ids AS uuid[]))")
PAUSE = 0.02
"""Seconds between two looks."""


@asynccontextmanager
async def down(deployment: Deployment, services: Sequence[str]) -> AsyncIterator[None]:
    """Inside, these services are switched off."""
    await asyncio.gather(*(deployment.stop(name) for name in services))
    try:
        yield
    finally:
        for name in services:
            await deployment.start(name)


@contextmanager
def without_broker(deployment: Deployment) -> Iterator[None]:
    """Inside, no service reaches RabbitMQ."""
    deployment.line.refuse()
    try:
        yield
    finally:
        deployment.line.refuse(False)


@asynccontextmanager
async def without_database(deployment: Deployment, service: str) -> AsyncIterator[None]:
    """Inside, PostgreSQL lets nobody but its superuser into a service's database."""
    name = deployment.platform.account(service)
    await deployment.as_superuser(f'ALTER DATABASE "{name}" WITH CONNECTION LIMIT 0')
    try:
        await deployment.as_superuser(CUT, name)
        yield
    finally:
        await deployment.as_superuser(f'ALTER DATABASE "{name}" WITH CONNECTION LIMIT -1')


@contextmanager
def failing(deployment: Deployment, queue: str, error: Exception, *, times: int) -> Iterator[None]:
    """Inside, a handler raises `error` so many times, with all that it did before that: the worst moment."""
    deployment.check_queue(queue)
    left = deque([error] * times)
    handle = Invocation.handle

    async def handle_and_fail(self: Invocation, session: AsyncSession, envelope: Envelope, event: Event) -> None:
        await handle(self, session, envelope, event)
        if left and self.service.queue(self.subscription) == queue:
            raise left.popleft()

    with patch.object(Invocation, "handle", handle_and_fail):
        yield
    if left:
        raise AssertionError(f"{queue} was to fail {times} times, and handled only {times - len(left)} messages meanwhile")


@asynccontextmanager
async def late(deployment: Deployment, queue: str) -> AsyncIterator[None]:
    """Inside, another consumer has the first message of a queue in hand and is slow; the service stands by."""
    deployment.check_queue(queue)
    service = queue.partition(".")[0]
    await deployment.stop(service)
    connection = await aiormq.connect(deployment.platform.service_amqp_url(service))
    channel = await connection.channel()
    await channel.basic_qos(prefetch_count=1)
    await channel.basic_consume(queue, lambda message: asyncio.sleep(0))
    await deployment.start(service)
    try:
        yield
    finally:
        await connection.close()


async def again(deployment: Deployment, events: Iterable[Said], *, backwards: bool) -> None:
    """Delivers what was sent of these events once more, under their publishers' accounts, until every copy was dropped."""
    before = await _dropped(deployment)
    sent = [event for event in events if event.sent is not None]
    wanted = Counter(queue.partition(".")[0] for event in sent for queue in event.queues)
    await _deliver(deployment, sent[::-1] if backwards else sent, {event.id: event.id for event in sent})

    async def all_dropped() -> bool:
        return await _dropped(deployment) - before >= wanted

    await _until(all_dropped)


async def anew(deployment: Deployment, events: Iterable[Said]) -> None:
    """Delivers what was sent of these events under ids that nobody has heard of, the last first, until each took effect."""
    sent = [event for event in events if event.sent is not None]
    ids = {event.id: uuid7() for event in sent}
    wanted = Counter(queue.partition(".")[0] for event in sent for queue in event.queues)
    await _deliver(deployment, sent[::-1], ids)

    async def all_handled() -> bool:
        return await _handled(deployment, wanted.keys(), list(ids.values())) == wanted

    await _until(all_handled)


async def _deliver(deployment: Deployment, events: Sequence[Said], ids: Mapping[UUID, UUID]) -> None:
    """Sends these events, each service's in this order, by the account of that service and under these ids."""
    for name in {event.service for event in events}:
        in_order = [event.id for event in events if event.service == name]
        said = await deployment.envelopes(name, in_order)
        copies = [replace(said[id_], id=ids[id_]) for id_ in in_order]
        publishing = await PublishingConnection.open(deployment.platform.service_amqp_url(name), name=f"{name}, once more")
        try:
            batch = await publishing.channel.send(copies, user=publishing.user, mandatory=frozenset())
            await batch.confirmed
        finally:
            await publishing.close()


async def _until(holds: Callable[[], Awaitable[bool]]) -> None:
    pause = asyncio.Event()
    while not await holds():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(pause.wait(), PAUSE)


async def _handled(deployment: Deployment, services: Collection[str], ids: Sequence[UUID]) -> Counter[str]:
    """How many of these messages took effect, each in every subscription that heard it."""
    counted: Counter[str] = Counter()
    for name in services:
        async with deployment.databases[name].engine.connect() as connection:
            counted[name] = int(await connection.scalar(HANDLED, {"ids": ids}) or 0)
    return counted


async def _dropped(deployment: Deployment) -> Counter[str]:
    """How many copies each service has dropped so far."""
    counted: Counter[str] = Counter()
    async with httpx.AsyncClient(timeout=30, verify=authorities()) as client:
        for name, address in deployment.addresses.items():
            said: Any = (await client.get(f"{address}/metrics")).text
            counted[name] = int(sum(float(count) for count in DROPPED.findall(said)))
    return counted
