"""Databases and virtual hosts that live as long as a test, on whatever servers there are."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import httpx
from sqlalchemy import MetaData

from broker import Service
from broker._database import engine_for, migrate
from broker._platform import Platform
from broker._tables import BACKBONE_MIGRATIONS
from broker._tls import authorities
from broker._topology import OBSERVER
from broker.servers import Servers

MAKER = "nilecare_maker"
"""The role to which all belongs that is in a template, so that whoever is given a copy can be given what is in it."""


_ready: set[tuple[str, str]] = set()
"""The templates that are there, by server."""


class Databases:
    """Makes databases from migrated templates: the migrations run once per server, a copy takes a tenth of a second.

    It keeps a connection from the first one that it makes until `drop`.
    """

    def __init__(self, postgres_url: str) -> None:
        self._url = postgres_url
        self._made: list[str] = []
        self._connection: asyncpg.Connection | None = None
        self._working = asyncio.Lock()

    async def __call__(self, *, tables: MetaData | None = None, migrations: Path | None = None) -> str:
        """A fresh database with the backbone's tables, and a service's own where given; its address, as superuser."""
        async with self._admin() as admin:
            template = await self._template(admin, tables, migrations)
            name = f"test_{secrets.token_hex(6)}"
            # In memory, copying files takes half of what writing each page to the log does.
            await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        self._made.append(name)
        return self._address(name)

    async def give(self, account: str, *, tables: MetaData, migrations: Path | None) -> None:
        """Makes a service's account and its database, of the same name, in which all belongs to it. Neither is dropped here."""
        async with self._admin() as admin:
            template = await self._template(admin, tables, migrations)
            await admin.execute(f'CREATE ROLE "{account}"')
            await admin.execute(f'CREATE DATABASE "{account}" TEMPLATE {template} OWNER "{account}" STRATEGY file_copy')
        inside = await asyncpg.connect(self._address(account))
        await inside.execute(f'REASSIGN OWNED BY {MAKER} TO "{account}"')
        await inside.close()

    async def drop(self) -> None:
        """Drops all it made, whoever is connected."""
        if self._connection is None:
            return
        async with self._admin() as admin:
            while self._made:
                await admin.execute(f"DROP DATABASE IF EXISTS {self._made.pop()} WITH (FORCE)")
        await self._connection.close()
        self._connection = None

    @contextlib.asynccontextmanager
    async def _admin(self) -> AsyncIterator[asyncpg.Connection]:
        """The connection, for one at a time; another one when the server has been killed meanwhile."""
        async with self._working:
            if self._connection is None or self._connection.is_closed():
                self._connection = await asyncpg.connect(self._url)
            yield self._connection

    async def _template(self, admin: asyncpg.Connection, tables: MetaData | None, migrations: Path | None) -> str:
        """The template for exactly these migrations. Under a lock, and named only when it is whole.

        A service's begins as the backbone's, whose migrations are the same for all.
        """
        name = f"template_{_digest(BACKBONE_MIGRATIONS, migrations)}"
        if (self._url, name) in _ready:
            return name
        async with admin.transaction():
            await admin.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", name)
            if await admin.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
                _ready.add((self._url, name))
                return name
            unfinished = f"{name}_{secrets.token_hex(4)}"
            maker = await asyncpg.connect(self._url)
            below = "template0" if migrations is None else await self._template(maker, None, None)
            await maker.execute(f"CREATE DATABASE {unfinished} TEMPLATE {below} STRATEGY file_copy")
            await self._let_maker_in(maker, unfinished)
            engine = engine_for(self._address(unfinished))
            await migrate(engine, tables if tables is not None else MetaData(), migrations)
            await engine.dispose()
            await maker.execute(f"ALTER DATABASE {unfinished} RESET role")
            await maker.execute(f"ALTER DATABASE {unfinished} WITH ALLOW_CONNECTIONS false")
            await maker.execute(f"ALTER DATABASE {unfinished} RENAME TO {name}")
            await maker.close()
        return name

    async def _let_maker_in(self, admin: asyncpg.Connection, database: str) -> None:
        """Has whoever connects to a database make what belongs to MAKER."""
        with contextlib.suppress(asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
            await admin.execute(f"CREATE ROLE {MAKER}")
        await admin.execute(f"GRANT CREATE ON DATABASE {database} TO {MAKER}")
        inside = await asyncpg.connect(self._address(database))
        await inside.execute(f"GRANT ALL ON SCHEMA public TO {MAKER}")
        await inside.close()
        await admin.execute(f"ALTER DATABASE {database} SET role TO {MAKER}")

    def _address(self, name: str) -> str:
        return urlsplit(self._url)._replace(path=f"/{name}").geturl()


class VirtualHosts:
    """Makes virtual hosts: a RabbitMQ of its own for a test, as far as names go."""

    def __init__(self, servers: Servers) -> None:
        address = urlsplit(servers.management_url)
        self._amqp = urlsplit(servers.amqp_url)
        self._client = httpx.AsyncClient(
            base_url=f"{address.scheme}://{address.hostname}:{address.port}/api",
            auth=(address.username or "guest", address.password or "guest"),
            timeout=30,
            verify=authorities(),
        )
        self._made: list[str] = []

    async def __call__(self) -> str:
        """A fresh virtual host; its amqp:// address, as administrator. Its name is the address's path."""
        name = f"test-{secrets.token_hex(6)}"
        self._made.append(name)
        (await self._client.put(f"/vhosts/{name}")).raise_for_status()
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        (await self._client.put(f"/permissions/{name}/{self._amqp.username}", json=everything)).raise_for_status()
        return self._amqp._replace(path=f"/{name}").geturl()

    async def drop(self) -> None:
        """Removes all it made, and closes."""
        while self._made:
            await self._client.delete(f"/vhosts/{self._made.pop()}")
        await self._client.aclose()


@cache
def _digest(*folders: Path | None) -> str:
    files = [file for folder in folders if folder is not None for file in sorted((folder / "versions").glob("*.py"))]
    digest = sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


async def prepare(platform: Platform, services: Sequence[Service]) -> None:
    """Makes each service's account and database from a template, so that provisioning finds all migrations done."""
    databases = Databases(platform.postgres_url)
    for service in services:
        await databases.give(platform.account(service.name), tables=service.tables, migrations=service.migrations)
    await databases.drop()


async def drop_platform(platform: Platform, services: Sequence[Service]) -> None:
    """Removes the databases and accounts that provisioning made; the virtual host is somebody else's."""
    accounts = [platform.account(service.name) for service in services]
    admin = await asyncpg.connect(platform.postgres_url)
    for account in accounts:
        await admin.execute(f'DROP DATABASE IF EXISTS "{account}" WITH (FORCE)')
        await admin.execute(f'DROP ROLE IF EXISTS "{account}"')
    await admin.close()
    async with httpx.AsyncClient(timeout=30, verify=authorities()) as client:
        for account in (*accounts, platform.account(OBSERVER)):
            await client.delete(f"{platform.management_url}/api/users/{account}")
