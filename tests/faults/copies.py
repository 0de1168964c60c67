"""Services on real servers, each with its database, in copies that are processes of their own: to be killed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from sqlalchemy import text

from broker import Service, Settings
from broker._alignment import apply
from broker._database import Database, engine_for
from broker._management import Management
from broker._topology import Topology
from broker.servers import Servers
from broker.testing.scratch import Databases, VirtualHosts
from tests.faults.process import Copy, Declared, start


class Copies:
    """A virtual host, databases, and the processes that work with them."""

    def __init__(self, servers: Servers, databases: Databases, hosts: VirtualHosts, logs: Path) -> None:
        self.servers = servers
        self._databases, self._hosts, self._logs = databases, hosts, logs
        self.databases: dict[str, Database] = {}
        self.settings: dict[str, Settings] = {}
        self._processes: list[ForkServerProcess] = []
        self._ends: dict[ForkServerProcess, asyncio.Future[None]] = {}

    async def open(self, release: Declared) -> Self:
        """With a virtual host that has what the release declares."""
        self.amqp_url = await self._hosts()
        await self.apply(release)
        return self

    async def provide(self, service: Service, migrations: Path | None = None, **settings: Any) -> Database:
        """Gives a service its database, with its tables, and its copies these settings."""
        url = await self._databases(tables=service.tables, migrations=migrations)
        database = Database(engine_for(url), service.name)
        if migrations is None:
            async with database.engine.begin() as connection:
                await connection.run_sync(service.tables.create_all)
        self.databases[service.name] = database
        self.settings[service.name] = Settings(
            database_url=url, amqp_url=self.amqp_url, management_url=self.servers.management_url, **settings
        )
        return database

    def management(self) -> Management:
        """RabbitMQ's management of the virtual host."""
        return Management(self.servers.management_url, urlsplit(self.amqp_url).path[1:])

    def topology(self, release: Declared) -> Topology:
        """What a release declares."""
        return Topology.of(list(release.services().values()), prefix="unprovisioned")

    async def apply(self, release: Declared) -> None:
        """Brings the virtual host in line with a release."""
        async with self.management() as management:
            await apply(management, self.topology(release))

    def start_copy(
        self, service: str, release: Declared, *, settings: Mapping[str, Any] | None = None, **more: Any
    ) -> ForkServerProcess:
        """One more copy of a service, with these settings in place of the service's; see Copy."""
        log, own = self._logs / f"{service}.log", replace(self.settings[service], **(settings or {}))
        self._processes.append(start(Copy(service=service, release=release, settings=own, log=log, **more)))
        return self._processes[-1]

    async def kill(self, process: ForkServerProcess) -> None:
        """kill -9."""
        process.kill()
        await self.ended(process)

    async def stop(self, process: ForkServerProcess) -> None:
        """Asks it to end, and sees that it does so in order."""
        process.terminate()
        await self.ended(process)
        assert process.exitcode == 0

    async def ended(self, process: ForkServerProcess, *, within: float = 60) -> None:
        """Returns when the process is no more, which may take so many seconds.

        One thread waits for a process, however many ask: of two that read its exit code at once, one would be told 255.
        """
        if process not in self._ends:
            self._ends[process] = asyncio.ensure_future(asyncio.to_thread(process.join))
        async with asyncio.timeout(within):
            await asyncio.shield(self._ends[process])
        assert process.exitcode is not None

    async def rows(self, service: str, query: str, **parameters: Any) -> list[Any]:
        """What a query gives: tuples, or bare values where it has one column."""
        async with self.databases[service].engine.connect() as connection:
            rows = [tuple(row) for row in await connection.execute(text(query), parameters)]
        return [row[0] if len(row) == 1 else row for row in rows]

    async def run(self, service: str, statement: str, **parameters: Any) -> None:
        """One statement, committed."""
        async with self.databases[service].engine.begin() as connection:
            await connection.execute(text(statement), parameters)

    async def close(self) -> None:
        """Kills what still runs."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            await self.ended(process)
        for database in self.databases.values():
            await database.close()
