"""A place for one measurement: a database and a virtual host of its own, gone afterwards."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import asyncpg
import httpx

from benchmarks.contending import Where
from broker.servers import Servers


@asynccontextmanager
async def fresh_place(servers: Servers) -> AsyncIterator[Where]:
    """Makes one on these servers."""
    name = f"bench_{secrets.token_hex(4)}"
    where = Where(
        name=name,
        postgres_url=servers.postgres_url,
        database_url=urlsplit(servers.postgres_url)._replace(path=f"/{name}").geturl(),
        amqp_url=urlsplit(servers.amqp_url)._replace(path=f"/{name}").geturl(),
        management_url=servers.management_url,
    )
    admin = await asyncpg.connect(servers.postgres_url)
    async with httpx.AsyncClient(base_url=f"{servers.management_url}/api/", timeout=60) as rabbitmq:
        try:
            await admin.execute(f'CREATE DATABASE "{name}"')
            (await rabbitmq.put(f"vhosts/{name}")).raise_for_status()
            yield where
        finally:
            await _clear(admin, rabbitmq, name)
            await admin.close()


async def _clear(admin: asyncpg.Connection, rabbitmq: httpx.AsyncClient, name: str) -> None:
    """With whatever a contender made under this name."""
    for row in await admin.fetch("SELECT datname FROM pg_database WHERE starts_with(datname, $1)", name):
        await admin.execute(f'DROP DATABASE "{row["datname"]}" WITH (FORCE)')
    for row in await admin.fetch("SELECT rolname FROM pg_roles WHERE starts_with(rolname, $1)", name):
        await admin.execute(f'DROP ROLE "{row["rolname"]}"')
    await rabbitmq.delete(f"vhosts/{name}")
    users = [user["name"] for user in (await rabbitmq.get("users")).json() if user["name"].startswith(name)]
    await rabbitmq.post("users/bulk-delete", json={"users": users})
    # What this measurement left to be written must not be written during the next one.
    await admin.execute("CHECKPOINT")
