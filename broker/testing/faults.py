"""What can go wrong, done to a deployment while a test goes on: for real, on the servers."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from unittest.mock import patch

import aiormq
import httpx
from sqlalchemy.ext.asyncio import AsyncSession

from broker._confirms import PublishingConnection
from broker._envelope import Envelope
from broker._invocation import Invocation
from broker._sight import Sight
from broker.testing.deployment import Deployment
from contracts.event import Event

DROPPED = re.compile(r"nilecare_duplicates_dropped_total\{[^}]*\} (\S+)")
CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND usename = $1"
PAUSE = 0.02
"""Seconds between two looks at the metrics."""


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


async def again(deployment: Deployment, sight: Sight, *, backwards: bool) -> None:
    """Delivers all that was sent in a flow once more, under its publishers' accounts, until every copy was dropped."""
    before = await _dropped(deployment)
    sent = [event for event in sight.said if event.sent is not None]
    wanted = Counter(queue.partition(".")[0] for event in sent for queue in event.queues)
    for name in {event.service for event in sent}:
        said = await deployment.envelopes(name, [event.id for event in sent if event.service == name])
        in_order = [said[event.id] for event in sent if event.service == name]
        publishing = await PublishingConnection.open(deployment.platform.service_amqp_url(name), name=f"{name}, once more")
        try:
            copies = in_order[::-1] if backwards else in_order
            batch = await publishing.channel.send(copies, user=publishing.user, mandatory=frozenset())
            await batch.confirmed
        finally:
            await publishing.close()
    pause = asyncio.Event()
    while not (await _dropped(deployment) - before) >= wanted:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(pause.wait(), PAUSE)


async def _dropped(deployment: Deployment) -> Counter[str]:
    """How many copies each service has dropped so far."""
    counted: Counter[str] = Counter()
    async with httpx.AsyncClient(timeout=30) as client:
        for name, address in deployment.addresses.items():
            said: Any = (await client.get(f"{address}/metrics")).text
            counted[name] = int(sum(float(count) for count in DROPPED.findall(said)))
    return counted
