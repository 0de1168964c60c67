"""Two services at work in one process, from a request to the other one's effect, with their servers there and not there."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import types
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.pool import QueuePool

from broker import DeclarationError, Service, Settings, on
from broker import _runtime as runtime_module
from broker._alignment import apply
from broker._database import engine_for
from broker._loop import Loop
from broker._management import Management
from broker._runtime import Runtime, serve
from broker._service import check_platform
from broker._tokens import issue_token, key_set_of, new_key
from broker._topology import Topology
from broker.servers import Servers
from broker.testing.proxy import Proxy
from broker.testing.scratch import Databases, VirtualHosts
from tests.broker.ward import CREATE, HERE, BedBooked, ward
from tests.waiting import until

KEY = new_key()


class Base(DeclarativeBase):
    """The kitchen's tables."""


class Meal(Base):
    """A meal that is cooked for a booking."""

    __tablename__ = "meal"

    position: Mapped[int] = mapped_column(primary_key=True)
    booking_id: Mapped[UUID]
    trace: Mapped[str | None]


CREATE_MEAL = "CREATE TABLE meal (position serial PRIMARY KEY, booking_id uuid NOT NULL, trace text)"


cooking, stove_is_hot = asyncio.Event(), asyncio.Event()


@on(BedBooked)
async def cook(event: BedBooked, session: AsyncSession) -> None:
    """Cooks, once the stove is hot."""
    cooking.set()
    await stove_is_hot.wait()
    session.add(Meal(booking_id=event.booking_id))


def module(name: str, **contents: Any) -> types.ModuleType:
    made = types.ModuleType(name)
    for key, value in contents.items():
        value.__module__ = name
        setattr(made, key, value)
    return made


publishing = Service(
    name="ward",
    port=1,
    tables=ward.tables,
    api=ward.api,
    trusts_auth=False,
    contracts=module("contracts.ward", BedBooked=BedBooked),
)
kitchen = Service(
    name="kitchen",
    port=2,
    tables=Base.metadata,
    handlers=module("kitchen.handlers", cook=cook),
    contracts=types.ModuleType("contracts.kitchen"),
)
PLATFORM = [publishing, kitchen]


class Pair:
    """The ward and the kitchen on real servers, which they reach by way of proxies that can be cut."""

    def __init__(self, settings: dict[str, Settings], broker: Proxy, databases: dict[str, Proxy]) -> None:
        self.settings = settings
        self.broker, self.databases = broker, databases
        self.running: list[Runtime] = []

    async def start(self, service: Service) -> Runtime:
        runtime = self.runtime(service)
        self.running.append(runtime)
        await runtime.start()
        return runtime

    def runtime(self, service: Service) -> Runtime:
        return Runtime(service, self.settings[service.name], subscribed=check_platform(PLATFORM))

    async def stop(self) -> None:
        await asyncio.gather(*(runtime.stop() for runtime in self.running))


@pytest.fixture
async def pair(servers: Servers, database: Databases, vhost: VirtualHosts) -> AsyncIterator[Pair]:
    amqp_url = await vhost()
    async with Management(servers.management_url, urlsplit(amqp_url).path[1:]) as management:
        await apply(management, Topology.of(PLATFORM))
    stove_is_hot.set()
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(Proxy(amqp_url))
        databases, settings = {}, {}
        for service, create in ((publishing, CREATE), (kitchen, CREATE_MEAL)):
            url = await database()
            engine = engine_for(url)
            async with engine.begin() as connection:
                await connection.execute(text(create))
            await engine.dispose()
            databases[service.name] = proxy = await stack.enter_async_context(Proxy(url))
            settings[service.name] = Settings(
                database_url=proxy.url, amqp_url=broker.url, port=0, key_set=key_set_of(KEY), pool_size=4
            )
        pair = Pair(settings, broker, databases)
        yield pair
        await pair.stop()


def client_of(runtime: Runtime) -> httpx.AsyncClient:
    token = issue_token(KEY, subject="n1", roles=["nurse"], facilities=None, lifetime=timedelta(minutes=5))
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{runtime.port}", headers={"Authorization": f"Bearer {token}"})


async def book(client: httpx.AsyncClient) -> UUID:
    response = await client.post("/api/v1/bookings", json={"facility_id": str(HERE), "name": str(uuid4())})
    assert response.status_code == 201, response.text
    return UUID(response.json()["id"])


def meals(runtime: Runtime) -> Callable[[], Awaitable[list[UUID]]]:
    async def cooked() -> list[UUID]:
        async with runtime.database.engine.connect() as connection:
            return list(await connection.scalars(text("SELECT booking_id FROM meal ORDER BY position")))

    return cooked


def are(wanted: list[UUID], cooked: Callable[[], Awaitable[list[UUID]]]) -> Callable[[], Awaitable[bool]]:
    async def condition() -> bool:
        return sorted(await cooked()) == sorted(wanted)

    return condition


async def test_from_request_to_effect(pair: Pair) -> None:
    """A command of one service has its effect in the other, once, and both say that messages flow."""
    ward_runtime, kitchen_runtime = await pair.start(publishing), await pair.start(kitchen)
    async with client_of(ward_runtime) as client, client_of(kitchen_runtime) as other:
        booked = [await book(client) for _ in range(5)]
        await until(are(booked, meals(kitchen_runtime)))

        async def flows() -> bool:
            answers = [await each.get("/health/messaging") for each in (client, other)]
            return all(answer.status_code == 200 for answer in answers)

        await until(flows)
        assert (await other.get("/health/messaging")).json()["queues"] == {"kitchen.cook": "at work"}
        metrics = (await other.get("/metrics")).text
        assert 'nilecare_effect_latency_seconds_count{subscription="cook"} 5.0' in metrics
        assert "nilecare_outbox_relayed_total 5.0" in (await client.get("/metrics")).text


async def test_a_start_opens_few_connections(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """When each loop has looked for the first time, far fewer connections are open than there are loops."""
    at_rest: set[Loop] = set()
    pause = Loop._pause

    async def note(loop: Loop, seconds: float) -> None:
        at_rest.add(loop)
        await pause(loop, seconds)

    monkeypatch.setattr(Loop, "_pause", note)
    runtime = await pair.start(kitchen)

    async def all_have_looked() -> bool:
        return at_rest >= set(runtime._loops) and runtime.messaging().is_well

    await until(all_have_looked)
    pool = cast("QueuePool", runtime.database.engine.pool)
    assert pool.checkedin() + pool.checkedout() <= 4 < len(runtime._loops) / 2


async def test_without_the_broker(pair: Pair) -> None:
    """Services start and take commands while the broker is away; its return brings the effects, with nobody's help."""
    pair.broker.refuse()
    ward_runtime, kitchen_runtime = await pair.start(publishing), await pair.start(kitchen)
    async with client_of(ward_runtime) as client:
        booked = [await book(client) for _ in range(3)]
        assert (await client.get("/health/ready")).status_code == 200
        assert (await client.get("/health/messaging")).status_code == 503
        pair.broker.refuse(False)
        await until(are(booked, meals(kitchen_runtime)))


async def test_without_the_databases(pair: Pair) -> None:
    """Services start while their databases are away, are not ready until they come, and lose nothing when they go again."""
    for proxy in pair.databases.values():
        proxy.refuse()
    ward_runtime, kitchen_runtime = await pair.start(publishing), await pair.start(kitchen)
    async with client_of(ward_runtime) as client:
        assert (await client.get("/health/ready")).status_code == 503
        pair.databases["ward"].refuse(False)

        async def is_ready() -> bool:
            return (await client.get("/health/ready")).status_code == 200

        await until(is_ready)
        booked = [await book(client)]
        pair.databases["kitchen"].refuse(False)
        await until(are(booked, meals(kitchen_runtime)))
        pair.databases["kitchen"].refuse()
        booked += [await book(client) for _ in range(3)]
        pair.databases["kitchen"].refuse(False)
        await until(are(booked, meals(kitchen_runtime)))


async def test_a_stop_loses_nothing(pair: Pair) -> None:
    """Requests under way when a service stops are answered, and what they did takes effect after the next start."""
    ward_runtime, kitchen_runtime = await pair.start(publishing), await pair.start(kitchen)
    async with client_of(ward_runtime) as client:
        booked = [await book(client)]
        requests = [asyncio.create_task(book(client)) for _ in range(10)]
        await asyncio.wait(requests, return_when=asyncio.FIRST_COMPLETED)
        async with asyncio.timeout(20):
            await ward_runtime.stop()
        await asyncio.wait(requests)
        booked += [request.result() for request in requests if request.exception() is None]
    await pair.start(publishing)
    await until(are(booked, meals(kitchen_runtime)))


async def test_a_stop_with_the_broker_away(pair: Pair) -> None:
    """A service stops within its time also when the broker cannot be reached."""
    runtime = await pair.start(publishing)
    async with client_of(runtime) as client:
        await book(client)
        pair.broker.refuse()
        await book(client)
    async with asyncio.timeout(20):
        await runtime.stop()


async def test_a_stop_while_a_handler_hangs(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler that does not come to its end is broken off when the time to stop is over, and has its effect later, once."""
    monkeypatch.setattr(runtime_module, "WORK", 0.5)
    ward_runtime, kitchen_runtime = await pair.start(publishing), await pair.start(kitchen)
    cooking.clear()
    stove_is_hot.clear()
    async with client_of(ward_runtime) as client:
        booked = [await book(client)]
    await cooking.wait()
    async with asyncio.timeout(10):
        await kitchen_runtime.stop()
    stove_is_hot.set()
    await until(are(booked, meals(await pair.start(kitchen))))


async def test_signals(pair: Pair) -> None:
    """`serve` tells of each service that runs, and ends when the process is asked to."""
    told: list[str] = []

    def started(runtime: Runtime) -> None:
        told.append(runtime.service.name)
        if len(told) == len(PLATFORM):
            os.kill(os.getpid(), signal.SIGTERM)

    async with asyncio.timeout(20):
        await serve([pair.runtime(service) for service in PLATFORM], started)
    assert told == ["ward", "kitchen"]


async def test_a_taken_port(pair: Pair) -> None:
    """A port that somebody has is an error at the start, and nothing is left running."""
    before = asyncio.all_tasks()
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        pair.settings["kitchen"] = replace(pair.settings["kitchen"], port=somebody.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            await serve([pair.runtime(kitchen)])
    assert asyncio.all_tasks() <= before


def test_a_memory_too_short() -> None:
    """Settings that forget handled messages before the broker can deliver them again are refused."""
    settings = Settings(database_url="postgresql://h/d", amqp_url="amqp://h/", inbox_retention=timedelta(days=7))
    with pytest.raises(DeclarationError, match="longer than redelivery_window"):
        Runtime(kitchen, settings, subscribed={})
