"""Setting a platform up: for each service an account on both servers, a database with its tables, and the topology.

Idempotent, and safe when two do it at once. A service's account owns its database and can connect to no other service's; on
RabbitMQ it writes its own exchange, reads its own queues and configures nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg

from broker._alignment import apply
from broker._database import engine_for, is_migrated, migrate
from broker._management import Management
from broker._platform import Platform
from broker._publishing import lock_number
from broker._service import Service
from broker._topology import OBSERVER, Topology

OBSERVER_TAG = "monitoring"
"""RabbitMQ's tag for an account that may look at everything and change nothing."""


async def provision(platform: Platform, services: Sequence[Service]) -> None:
    """Creates or repairs accounts, databases, tables, topology and permissions of these services.

    Raises asyncpg.PostgresError, OSError or ManagementError when a server refuses or cannot be reached.
    """
    await asyncio.gather(_postgres(platform, services), _rabbitmq(platform, services))


async def _postgres(platform: Platform, services: Sequence[Service]) -> None:
    async with _alone(platform) as admin:
        existing = {row["datname"] for row in await admin.fetch("SELECT datname FROM pg_database")}
        for service in services:
            account = platform.account(service.name)
            await _role(admin, account, platform.password(account))
            await _database(admin, account, exists=account in existing)
        for service in services:
            await _tables(platform, service)


@asynccontextmanager
async def _alone(platform: Platform) -> AsyncIterator[asyncpg.Connection]:
    """The administrator's connection, while nobody else sets the same platform up: not all DDL can be done by two at once."""
    admin = await asyncpg.connect(platform.postgres_url)
    try:
        await admin.execute("SELECT pg_advisory_lock($1)", lock_number("provision", platform.prefix))
        yield admin
    finally:
        await admin.close()


async def _role(admin: asyncpg.Connection, account: str, password: str) -> None:
    if not await admin.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", account):
        await admin.execute(f'CREATE ROLE "{account}"')
    rights = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
    await admin.execute(f"ALTER ROLE \"{account}\" WITH {rights} PASSWORD '{password}'")


async def _database(admin: asyncpg.Connection, account: str, *, exists: bool) -> None:
    if not exists:
        await admin.execute(f'CREATE DATABASE "{account}" OWNER "{account}"')
    await admin.execute(f'REVOKE ALL ON DATABASE "{account}" FROM PUBLIC')


async def _tables(platform: Platform, service: Service) -> None:
    """One after the other: Alembic keeps the migration under way in a variable of the process."""
    engine = engine_for(platform.database_url(service.name), pool_size=1)
    try:
        if not await is_migrated(engine, service.migrations):
            await migrate(engine, service.tables, service.migrations)
    finally:
        await engine.dispose()


async def _rabbitmq(platform: Platform, services: Sequence[Service]) -> None:
    topology = Topology.of(services, prefix=platform.prefix)
    observer = platform.account(OBSERVER)
    async with Management(platform.management_url, platform.vhost) as management:
        await management.create_vhost()
        for account in (permission.account for permission in topology.permissions):
            tags = OBSERVER_TAG if account == observer else ""
            await management.create_account(account, platform.password(account), tags=tags)
        await apply(management, topology)
