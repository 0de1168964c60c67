"""The whole platform at work in the test's process, set up like a real one: its own accounts, servers' rights, HTTP servers."""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import aiormq
import httpx
import structlog
from fastapi import FastAPI, Request, Response
from sqlalchemy import TextClause, text

from broker import Service, clock
from broker._database import Database
from broker._flows import Flows
from broker._logs import configure_logs
from broker._platform import vhost_of
from broker._provision import provision
from broker._replica_runs import Place
from broker._runtime import Runtime
from broker._service import check_platform
from broker.servers import Servers
from broker.testing.proxy import Proxy
from broker.testing.scratch import VirtualHosts, drop_platform
from nilecare.addresses import Platform
from nilecare.platform import services
from nilecare.simulator import CardSimulator, MailSink, MessageGateway
from nilecare.token import development_key_set
from tests.flows.spoken import Overheard
from tests.waiting import until

SERVICES = services()
SUBSCRIBED = check_platform(SERVICES)

FILLABLE = sum(Place(service.name, replica).is_fillable for service in SERVICES for replica in service.replicated)
"""Replicas that have one owner to ask."""

SELDOM = timedelta(hours=1)
"""How often services look whether they have news for operations: when the clock moves, and otherwise nothing goes on here."""

CONTENTS = text(
    """
    SELECT schemaname || '.' || tablename AS name, query_to_xml(
        format(
            'SELECT count(*), md5(string_agg(t::text, '','' ORDER BY t::text)) FROM %I.%I t WHERE t::text !~ %L',
            schemaname, tablename, 'service_copy.changed|copy_id'  -- what services say of themselves, beside the work
        ),
        false, true, ''
    )::text AS held
    FROM pg_tables
    WHERE schemaname IN ('public', 'backbone') AND tablename !~ '^(outbox|inbox)_'
          AND tablename NOT IN ('failure_count', 'change', 'reporting')  -- kept in order beside the work
    """
)


HOLDING = """
    SELECT schemaname || '.' || tablename AS name
    FROM pg_tables
    WHERE schemaname IN ('public', 'backbone') AND query_to_xml(
        format('SELECT 1 FROM %I.%I t WHERE t::text ILIKE ANY (%L) LIMIT 1', schemaname, tablename, CAST(:patterns AS text[])),
        false, true, ''
    )::text <> ''
"""


class Provider(CardSimulator):
    """The card provider, which a test can keep from saying what became of a request."""

    def __init__(self, *, secret: str) -> None:
        super().__init__(secret=secret, slow=0.1)
        self.speaks = asyncio.Event()
        self.speaks.set()

    def app(self) -> FastAPI:
        app = super().app()

        @app.middleware("http")
        async def wait_to_speak(request: Request, answer: Any) -> Response:
            if request.url.path.startswith("/v1/requests/"):
                await self.speaks.wait()
            response: Response = await answer(request)
            return response

        return app

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Inside, nobody is told what became of a request."""
        self.speaks.clear()
        try:
            yield
        finally:
            self.speaks.set()


@dataclass
class Running:
    """The services, each on a real HTTP server, and the world outside.

    line: the way to the broker, for all services.
    personal: every name, number and value of a person that a test uses; none of them may be seen where it does not belong.
    problems: every problem document that a client got.
    """

    platform: Platform
    provider: Provider
    mails: MailSink
    messages: MessageGateway
    line: Proxy
    key_file: Path
    written: io.StringIO
    overheard: Overheard
    runtimes: dict[str, Runtime] = field(default_factory=dict)
    personal: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)

    @property
    def flows(self) -> Flows:
        """What is under way in the four databases."""
        return Flows({runtime.service: runtime.database for runtime in self.runtimes.values()})

    def address(self, service: str) -> str:
        """Where a service's API is."""
        return f"http://127.0.0.1:{self.runtimes[service].port}/api/v1"

    async def start(self, service: Service, **overrides: Any) -> Runtime:
        """Starts a service with the rights that its own account has."""
        settings = self.platform.settings_for(service, {}, **overrides)
        runtime = Runtime(service, settings, subscribed=SUBSCRIBED)
        await runtime.start()
        self.runtimes[service.name] = runtime
        return runtime

    async def start_all(self, outside: dict[str, str]) -> None:
        """Starts the services, which find the world outside at these addresses."""
        key_set = development_key_set(self.key_file)
        for service in SERVICES:
            known = outside if service.calls else {}
            if service.pages is not None:
                known = {"auth": f"http://127.0.0.1:{self.runtimes['auth'].port}"}
            quiet = {"report_every": SELDOM, "replica_check_every": None}
            await self.start(service, port=0, journal=True, key_set=key_set, outside=known, **quiet)
        self.provider.webhooks.url = f"{self.address('payment')}/webhooks/card"
        for inbox in (self.mails, self.messages):
            inbox.receipts.url = f"{self.address('notification')}/receipts"
        await until(self._reports)

    async def _reports(self) -> bool:
        """Whether every service has begun to tell operations of its failed messages, and every replica has filled itself."""
        told = [await self.rows(name, "SELECT is_whole FROM backbone.reporting") for name in self.runtimes]
        filled = [
            row.state for name in self.runtimes for row in await self.rows(name, "SELECT state FROM backbone.replica_run")
        ]
        return all(row.is_whole for (row,) in told) and len(filled) == FILLABLE == filled.count("done")

    async def stop_all(self) -> None:
        """Stops the services."""
        await asyncio.gather(*(runtime.stop() for runtime in self.runtimes.values()))

    @asynccontextmanager
    async def held_back(self, queue: str) -> AsyncIterator[None]:
        """Inside, a service does not get what lies in its queue: another copy has the first message in hand, and is slow.

        At the end that copy dies, and the messages go to the service that stood by.
        """
        service = queue.partition(".")[0]
        before = self.runtimes[service]
        await before.stop()
        connection = await aiormq.connect(self.platform.service_amqp_url(service))
        channel = await connection.channel()
        await channel.basic_qos(prefetch_count=1)
        await channel.basic_consume(queue, lambda message: asyncio.sleep(0))
        await self._begin_again(before)
        try:
            yield
        finally:
            await connection.close()

    @asynccontextmanager
    async def down(self, service: str) -> AsyncIterator[None]:
        """Inside, a service is switched off."""
        before = self.runtimes[service]
        await before.stop()
        try:
            yield
        finally:
            await self._begin_again(before)

    @contextmanager
    def without_broker(self) -> Iterator[None]:
        """Inside, no service reaches the broker; what was on its way is lost."""
        self.line.refuse()
        try:
            yield
        finally:
            self.line.refuse(False)

    async def _begin_again(self, before: Runtime) -> None:
        settings = replace(before.settings, port=before.port)
        started = Runtime(before.service, settings, subscribed=SUBSCRIBED)
        await started.start()
        self.runtimes[before.service.name] = started

    async def settled(self, flow: UUID | None = None) -> None:
        """Returns when everything is over that followed from a request."""
        await self.flows.settled(flow)
        for callbacks in (self.provider.webhooks, self.mails.receipts, self.messages.receipts):
            await callbacks.idle()

    async def move_clock(self, by: timedelta) -> None:
        """Moves business time, and lets everything happen that is due by then."""
        await self.flows.move_clock(by)
        await self.settled()

    async def rows(self, service: str, query: str, **values: object) -> list[Any]:
        """What a service's own database says."""
        return await _all(self.runtimes[service].database, text(query), **values)

    async def contents(self, *services: str) -> dict[str, str]:
        """What every table of these services, or of all, holds: how many rows, and a digest of them."""
        return {
            f"{service} {row.name}": row.held
            for service in services or self.runtimes
            for row in await _all(self.runtimes[service].database, CONTENTS)
        }

    async def holding(self, *values: str) -> set[str]:
        """The tables, of all services, in which one of these stands, in whatever case, as text or as bytes."""
        patterns = [f"%{each}%" for value in values for each in (value, value.encode().hex())]
        return {f"{name} {row.name}" for name in self.runtimes for row in await self.rows(name, HOLDING, patterns=patterns)}

    async def published(self, flow: UUID, service: str = "%") -> list[str]:
        """The types of a flow's events in the journals, each service's in the order of its positions."""
        types = []
        for name in self.runtimes:
            if service in ("%", name):
                query = "SELECT type FROM backbone.published WHERE flow = :flow ORDER BY position"
                types += [row.type for row in await self.rows(name, query, flow=flow)]
        return types

    async def metrics(self) -> str:
        """What Prometheus reads from all services."""
        async with httpx.AsyncClient() as client:
            replies = [await client.get(f"http://127.0.0.1:{each.port}/metrics") for each in self.runtimes.values()]
        return "\n".join(reply.text for reply in replies)


async def _all(database: Database, query: TextClause, **values: object) -> list[Any]:
    async with database.engine.connect() as connection:
        return list((await connection.execute(query, values)).all())


@asynccontextmanager
async def platform_running(servers: Servers, key_file: Path) -> AsyncIterator[Running]:
    """The platform from nothing: provisioned, started, and at the end removed."""
    async with AsyncExitStack() as stack:
        hosts = VirtualHosts(servers)
        stack.push_async_callback(hosts.drop)
        amqp_url = await hosts()
        line = await stack.enter_async_context(Proxy(amqp_url))
        platform = _platform(servers, line.url)
        stack.push_async_callback(drop_platform, platform, SERVICES)
        await provision(platform, SERVICES)
        secret = secrets.token_hex(16)
        written = stack.enter_context(logs_written())
        stack.callback(setattr, clock, "shift", timedelta())
        overheard = await Overheard.on(amqp_url, SERVICES)
        stack.push_async_callback(overheard.close)
        provider, mails, messages = Provider(secret=secret), MailSink(secret=secret), MessageGateway(secret=secret)
        outside = {
            "card_provider": await stack.enter_async_context(provider.serving()),
            "card_provider_secret": secret,
            "smtp": await stack.enter_async_context(mails.serving()),
            "mail_from": "hospital@nile.example",
            "message_gateway": await stack.enter_async_context(messages.serving()),
            "message_gateway_secret": secret,
        }
        running = Running(platform, provider, mails, messages, line, key_file, written, overheard)
        stack.push_async_callback(running.stop_all)
        await running.start_all(outside)
        yield running


def _platform(servers: Servers, amqp_url: str) -> Platform:
    """A platform of its own on these servers."""
    return Platform(
        postgres_url=servers.postgres_url,
        amqp_url=amqp_url,
        management_url=servers.management_url,
        secret=secrets.token_hex(16),
        prefix=f"flows_{vhost_of(amqp_url).removeprefix('test-')}",
    )


@contextmanager
def logs_written() -> Iterator[io.StringIO]:
    """Everything that the process logs inside, as it would write it in production, down to the least important line."""
    written = io.StringIO()
    root = logging.getLogger()
    level = root.level
    with contextlib.redirect_stderr(written):
        configure_logs("DEBUG")
    try:
        yield written
    finally:
        for handler in root.handlers[:]:
            if isinstance(handler, logging.StreamHandler) and handler.stream is written:
                root.removeHandler(handler)
        root.setLevel(level)
        structlog.reset_defaults()
