"""The services under test at work: on a virtual host and databases of their own, with real accounts, set up like a platform."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import Context
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import aiormq
import asyncpg
import httpx
from aiormq.exceptions import AMQPError
from sqlalchemy import text

from broker._context import cause_in_hand
from broker._database import Database, engine_for
from broker._depth import Depth, depths_of
from broker._envelope import Envelope
from broker._flows import Flows
from broker._http import FLOW, PREFIX
from broker._platform import Platform, vhost_of
from broker._provision import provision
from broker._replicas import Replica
from broker._retry import LEASE
from broker._runtime import Runtime
from broker._service import Service, check_platform
from broker._settings import Settings
from broker._sight import Failed, Said, Sight, first_failed
from broker._subscriber import QueueHealth
from broker._tokens import issue_token, key_set_of, new_key
from broker.servers import Servers
from broker.servers.ports import free_ports
from broker.testing.asking import Persistent, Requests
from broker.testing.outside import World
from broker.testing.processes import ServiceProcess
from broker.testing.promises import Message, Promises
from broker.testing.proxy import Proxy
from broker.testing.said import envelopes, how_much, keep
from broker.testing.scratch import VirtualHosts, drop_platform, prepare
from broker.testing.stand_ins import StandIn, stand_ins
from contracts.event import Event

E = TypeVar("E", bound=Event)

LOOK = 5.0
"""Seconds that RabbitMQ is given to say what is in its queues."""

SELDOM = timedelta(hours=1)
"""How often services say how they are doing: when the clock moves, and otherwise no flow but those of the tests goes on."""

PAUSE = 0.01
"""Seconds between two looks at whether the world outside is silent."""

FILLING = text("SELECT replica FROM backbone.replica_run WHERE state = 'running'")


class Deployment:
    """The services, each with its database, its accounts and an HTTP server; and the way to break each of them.

    line: the way to the broker, for all services. shift: how far business time is from the wall clock.
    databases: for looking, as superuser; what a service itself uses is its own. schemas: the folder of released schemas.
    ended: flows that are over, with the test that began each and how many events it had.
    """

    schemas: Path | None = None

    def __init__(self, platform: Platform, services: Sequence[Service], line: Proxy, world: World, logs: Path) -> None:
        self.platform, self.line, self.world = platform, line, world
        self.services = {service.name: service for service in services}
        self.subscribed = check_platform(services)
        self.shift = timedelta()
        self.runtimes: dict[str, Runtime] = {}
        self.processes: dict[str, ServiceProcess] = {}
        self.ended: dict[UUID, tuple[str, int]] = {}
        self.requests = Requests()
        self._logs = logs
        self.databases = {name: Database(engine_for(_database_of(platform, name), pool_size=2), None) for name in self.services}
        self._key = new_key()
        ports = free_ports(len(self.services))
        self.addresses = {name: f"http://127.0.0.1:{port}" for name, port in zip(self.services, ports, strict=True)}

    @property
    def under_test(self) -> set[str]:
        """The services that are there themselves, and have no stand-in."""
        return {name for name, service in self.services.items() if not isinstance(service, StandIn)}

    @property
    def flows(self) -> Flows:
        """What is known of the flows of these services."""
        return Flows({service: self.databases[name] for name, service in self.services.items()})

    def settings(self, name: str) -> Settings:
        """What a service's process is told."""
        service = self.services[name]
        outside = {} if isinstance(service, StandIn) else self.world.settings(service, self.addresses)
        return replace(
            self.platform.settings(service, outside=dict(outside)),
            port=urlsplit(self.addresses[name]).port,
            journal=True,
            key_set=key_set_of(self._key),
            report_every=SELDOM,
            replica_check_every=None,
        )

    async def start(self, name: str) -> None:
        """Starts a service: in this process, or in its own, where it was moved to."""
        if name in self.processes:
            await self.processes[name].start()
        else:
            runtime = Runtime(self.services[name], self.settings(name), subscribed=self.subscribed)
            await asyncio.create_task(runtime.start(), context=Context())  # what it does by itself is in nobody's flow
            self.runtimes[name] = runtime

    async def stop(self, name: str) -> None:
        """Ends it in order."""
        if name in self.processes:
            await self.processes[name].stop()
        else:
            await asyncio.create_task(self.runtimes.pop(name).stop(), context=Context())

    async def move_out(self, name: str) -> ServiceProcess:
        """Has a service go on in a process of its own, which can be killed."""
        await self.stop(name)
        log = self._logs / f"{name}.log"
        process = ServiceProcess(self.services[name], self.settings(name), self.subscribed, log, self._outlive_leases)
        self.processes[name] = process
        await process.start()
        return process

    async def _outlive_leases(self) -> None:
        """What a dead process had in hand is nobody's again after a minute of business time: it is over now."""
        await self.flows.move_clock(LEASE)

    async def move_in(self, name: str) -> None:
        """Has it go on in this process."""
        await self.processes.pop(name).stop()
        await self.start(name)

    def is_up(self, name: str) -> bool:
        """Whether the service is at work, or about to be again."""
        return self.processes[name].is_up if name in self.processes else name in self.runtimes

    async def start_all(self) -> None:
        """Starts every service; returns when nothing is under way any more."""
        for name in self.services:
            await self.start(name)
        await self.filled()

    async def settled(self, flow: UUID | None = None, *, seconds: float = 30) -> None:
        """Returns when a flow is over, all of them when None is given, and the world outside is silent.

        For steps that lead to what a test is about: dead letters, and what waits for its time, are no concern here.
        Raises FlowOpen when it takes longer than these seconds.
        """
        told: object = None
        while told != (told := self.world.told()) or self.world.owing():
            await self.flows.settled(flow, seconds=seconds)
            await asyncio.sleep(PAUSE if self.world.owing() else 0)

    async def filled(self) -> None:
        """Returns when every replica has what its owner had when the platform was set up."""
        await self.flows.settled(seconds=60)
        for database in self.databases.values():
            async with database.engine.connect() as connection:
                while (await connection.execute(FILLING)).first():
                    await self.flows.settled(seconds=60)

    def token(
        self,
        *roles: str,
        facilities: Iterable[UUID] | None = None,
        subject: str | None = None,
        lifetime: timedelta = timedelta(hours=8),
    ) -> str:
        """A token that every service takes; without facilities its roles count everywhere."""
        subject = subject or str(uuid4())
        return issue_token(self._key, subject=subject, roles=roles, facilities=facilities, lifetime=lifetime)

    def client(self, service: str, token: str | None = None) -> httpx.AsyncClient:
        """Asks a service's API; what is asked inside a flow belongs to it.

        A service that is started again meanwhile is asked again, under the same Idempotency-Key.
        """

        async def name_the_flow(request: httpx.Request) -> None:
            cause = cause_in_hand()
            if cause is not None:
                request.headers.setdefault(FLOW, str(cause.flow))

        return httpx.AsyncClient(
            base_url=f"{self.addresses[service]}{PREFIX}",
            headers={"Authorization": f"Bearer {token}"} if token else {},
            event_hooks={"request": [name_the_flow]},
            transport=Persistent(lambda: self.processes.get(service), self.requests),
            timeout=30,
        )

    async def read(self, contract: type[E], said: Sequence[Said]) -> list[E]:
        """What these events say, which are all of this contract."""
        found: dict[UUID, Envelope] = {}
        for name in {each.service for each in said}:
            found |= await self.envelopes(name, [each.id for each in said if each.service == name])
        return [contract.read(found[each.id].body, found[each.id].version) for each in said]

    async def envelopes(self, service: str, ids: Collection[UUID]) -> dict[UUID, Envelope]:
        """These messages of a service, as it sent them."""
        return await envelopes(service, self.databases[service].engine, ids)

    async def broken_promises(self, sight: Sight) -> list[tuple[Said, str]]:
        """What the services under test said of a flow otherwise than their contracts allow, and how."""
        promises = Promises(self.services.values(), account=self.platform.account, schemas=self.schemas)
        own = [said for said in sight.said if said.service in self.under_test]
        sent: dict[UUID, Envelope] = {}
        for name in {said.service for said in own}:
            sent |= await self.envelopes(name, [said.id for said in own if said.service == name])
        messages = [(said, Message.sent(sent[said.id], self.platform.account(said.service))) for said in own]
        return [(said, breach) for said, message in messages for breach in promises.broken(message)]

    async def first_failed(self, queue: str, key: str) -> Failed | None:
        """The message that holds a key of a queue."""
        return await first_failed(self.databases[queue.partition(".")[0]].engine, queue, key)

    def place_of(self, replica: type[Replica[Any]] | str) -> tuple[str, type[Replica[Any]]]:
        """The service that keeps a replica, and its class. Raises TypeError for one that nobody keeps."""
        places = [(name, each) for name, service in self.services.items() for each in service.replicated]
        kept = {f"{name}.{each.__tablename__}": (name, each) for name, each in places}
        found = [place for named, place in kept.items() if replica in (named, place[1])]
        if len(found) != 1:
            raise TypeError(f"{replica!r} is not one replica of these: {', '.join(sorted(kept))}")
        return found[0]

    async def replica_row(self, service: str, replica: type[Replica[Any]], key: object) -> Any:
        """A replica's row, deleted or not; None when there is none."""
        async with self.databases[service].transaction() as session:
            return await session.get(replica, key)

    def check_queue(self, queue: str) -> None:
        """Raises TypeError for a queue that no subscription has."""
        queues = [service.queue(each) for service in self.services.values() for each in service.subscriptions]
        if queue not in queues:
            raise TypeError(f"there is no queue {queue!r}; there are: {', '.join(queues)}")

    async def troubles(self, sight: Sight) -> list[str]:
        """What RabbitMQ says of the queues in which a flow's messages should lie."""
        queues = dict.fromkeys(owed.queue for owed in sight.owed)
        try:
            async with asyncio.timeout(LOOK):
                connection = await aiormq.connect(self.platform.amqp_url)
                depths = await depths_of(connection, queues)
                await connection.close()
        except (TimeoutError, AMQPError, OSError) as failure:
            return [f"RabbitMQ does not say what is in its queues ({type(failure).__name__})"] if queues else []
        consumed = {each.queue: each for runtime in self.runtimes.values() for each in runtime.consuming()}
        return [_told_of(queue, depths.get(queue), consumed.get(queue)) for queue in queues]

    async def late(self) -> list[str]:
        """What was said in flows after their end, which no look at the databases could foresee."""
        said: Counter[UUID] = Counter()
        for database in self.databases.values():
            said += await how_much(database.engine, self.ended)
        return [
            f"{said[flow] - count} event{'s' * (said[flow] - count > 1)} came after the end of the flow {flow} of {name}"
            for flow, (name, count) in self.ended.items()
            if said[flow] > count
        ]

    async def as_superuser(self, statement: str, *values: object) -> None:
        """One statement in PostgreSQL, beside all databases of services."""
        connection = await asyncpg.connect(self.platform.postgres_url)
        try:
            await connection.execute(statement, *values)
        finally:
            await connection.close()

    async def close(self) -> None:
        """Ends every service, and forgets how to look."""
        await asyncio.gather(*(self.stop(name) for name in [*self.runtimes, *self.processes]))
        await asyncio.gather(*(database.close() for database in self.databases.values()))


def _told_of(queue: str, depth: Depth | None, consumed: QueueHealth | None) -> str:
    """Where a message is that lies in a queue, or should."""
    if depth is None:
        return f"there is no queue {queue}"
    if consumed is not None and consumed.in_hand:
        return f"the handler of {queue} has it in hand" + (f", stopped by {consumed.trouble}" if consumed.trouble else "")
    if not depth.messages:
        return f"{queue} is empty: the message is lost"
    return f"{queue}: {depth}"


@asynccontextmanager
async def deployed(servers: Servers, services: Sequence[Service], world: World) -> AsyncIterator[Deployment]:
    """The services from nothing: provisioned, started, filled, and at the end removed."""
    async with provisioned(servers, services, world) as deployment:
        await deployment.start_all()
        yield deployment


@asynccontextmanager
async def provisioned(servers: Servers, services: Sequence[Service], world: World) -> AsyncIterator[Deployment]:
    """All that the services need, none of which is started yet; at the end they are ended, and it is removed."""
    async with AsyncExitStack() as stack:
        hosts = VirtualHosts(servers)
        stack.push_async_callback(hosts.drop)
        amqp_url = await hosts()
        line = await stack.enter_async_context(Proxy(amqp_url))
        platform = Platform(
            postgres_url=servers.postgres_url,
            amqp_url=line.url,
            management_url=servers.management_url,
            secret=secrets.token_hex(16),
            prefix=f"testing_{vhost_of(amqp_url).removeprefix('test-')}",
        )
        services = [*services, *stand_ins(services)]
        stack.push_async_callback(drop_platform, platform, services)
        await prepare(platform, services)
        await provision(platform, services)
        logs = stack.enter_context(TemporaryDirectory())
        deployment = Deployment(platform, services, line, world, Path(logs))
        stack.push_async_callback(deployment.close)
        for name, service in deployment.services.items():
            await keep(_database_of(platform, name))
            await _make_tables(platform, service)
        yield deployment


async def _make_tables(platform: Platform, service: Service) -> None:
    """A service without migrations of its own has its tables as they are declared."""
    if service.migrations is None:
        engine = engine_for(platform.database_url(service.name), pool_size=1)
        async with engine.begin() as connection:
            await connection.run_sync(service.tables.create_all)
        await engine.dispose()


def _database_of(platform: Platform, name: str) -> str:
    """A service's database, as its superuser reaches it."""
    return urlsplit(platform.postgres_url)._replace(path=f"/{platform.account(name)}").geturl()
