"""The hospital's platform at work, the world outside of it, and what a test wants to know of both beyond their flows."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import structlog
from sqlalchemy import TextClause, text

from broker import Service, clock
from broker._database import Database
from broker._logs import configure_logs
from broker._tls import authorities
from broker.servers import Servers
from broker.testing import Deployment
from broker.testing.deployment import provisioned
from nilecare.platform import services
from tests.flows.outside import Outside
from tests.flows.spoken import Overheard

SERVICES = services()

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
          AND tablename NOT IN ('failure_count', 'wording_count', 'word_summary', 'change', 'reporting')  -- in order beside it
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


@dataclass
class Running:
    """The services, the world outside, and all that was written and said.

    personal: every name, number and value of a person that a test uses; none of them may be seen where it does not belong.
    problems: every problem document that a client got.
    """

    deployment: Deployment
    outside: Outside
    written: io.StringIO
    overheard: Overheard
    personal: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)

    async def settled(self, flow: UUID | None = None) -> None:
        """Returns when everything is over that followed from a request."""
        await self.deployment.settled(flow)

    async def move_clock(self, by: timedelta) -> None:
        """Moves business time, and lets everything happen that is due by then."""
        await self.deployment.flows.move_clock(by)
        await self.settled()

    async def rows(self, service: str, query: str, **values: object) -> list[Any]:
        """What a service's own database says."""
        return await _all(self.deployment.databases[service], text(query), **values)

    async def contents(self, *services: str) -> dict[str, str]:
        """What every table of these services, or of all, holds once all is over: how many rows, and a digest of them."""
        await self.settled()
        return {
            f"{service} {row.name}": row.held
            for service in services or self.deployment.databases
            for row in await _all(self.deployment.databases[service], CONTENTS)
        }

    async def holding(self, *values: str) -> set[str]:
        """The tables, of all services, in which one of these stands, in whatever case, as text or as bytes."""
        patterns = [f"%{each}%" for value in values for each in (value, value.encode().hex())]
        names = self.deployment.databases
        return {f"{name} {row.name}" for name in names for row in await self.rows(name, HOLDING, patterns=patterns)}

    async def metrics(self) -> str:
        """What Prometheus reads from all services."""
        async with httpx.AsyncClient(verify=authorities()) as client:
            replies = [await client.get(f"{address}/metrics") for address in self.deployment.addresses.values()]
        return "\n".join(reply.text for reply in replies)


async def _all(database: Database, query: TextClause, **values: object) -> list[Any]:
    async with database.engine.connect() as connection:
        return list((await connection.execute(query, values)).all())


@asynccontextmanager
async def platform_running(servers: Servers, services: Sequence[Service], outside: Outside) -> AsyncIterator[Running]:
    """The platform from nothing, overheard from its first word on; at the end it is removed."""
    async with AsyncExitStack() as stack:
        stack.callback(setattr, clock, "shift", timedelta())
        written = stack.enter_context(logs_written())
        deployment = await stack.enter_async_context(provisioned(servers, services, outside))
        host = urlsplit(servers.amqp_url)._replace(path=f"/{deployment.platform.vhost}").geturl()
        overheard = await Overheard.on(host, services)
        stack.push_async_callback(overheard.close)
        await deployment.start_all()
        yield Running(deployment, outside, written, overheard)


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
