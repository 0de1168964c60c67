"""`nilecare status`: how every service and its messages are, asked of each server once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import click
import httpx
from rich.console import Console
from rich.table import Table
from sqlalchemy.exc import SQLAlchemyError

from broker import DeclarationError, Service
from broker._database import Database, engine_for
from broker._management import Management, ManagementError
from broker._metrics import STATES, failed_by_state, outbox_backlog
from nilecare.addresses import DEVELOPMENT, AddressError, Platform, address_of, is_of_checkout, known
from nilecare.platform import services

PATIENCE = 5.0
"""Seconds that each server has for an answer."""

NOBODY = "not running"
"""The health of a service that nobody answers for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A subscription's queue. Counts are RabbitMQ's statistics, some seconds old; None when it has none, or cannot be asked."""

    messages: int | None
    consumers: int | None
    failed: dict[str, int]
    """Messages kept by the service, by state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaStatus:
    """A replica. `lag_seconds`: from the owner's commit to its effect here, for the state that came last."""

    rows: int
    lag_seconds: float


@dataclass(slots=True, kw_only=True)
class ServiceStatus:
    """One service, asked at its address. What could not be asked is None, and `trouble` says why."""

    name: str
    address: str
    health: str = NOBODY
    outbox_events: int | None = None
    outbox_oldest_age_seconds: float | None = None
    queues: dict[str, Queue] = field(default_factory=dict)
    replicas: dict[str, ReplicaStatus] = field(default_factory=dict)
    trouble: str | None = None


async def status(platform: Platform, services: Sequence[Service], environment: Mapping[str, str]) -> list[ServiceStatus]:
    """The status of each service. What cannot be reached is told of, not raised."""
    queues = await _queues(platform)
    told = [ServiceStatus(name=service.name, address=address_of(service, environment)) for service in services]
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        healths = await asyncio.gather(*(_health(each.address, client) for each in told))
    for each, health in zip(told, healths, strict=True):
        each.health = health
    await asyncio.gather(*(_fill_in(each, platform, service, queues) for each, service in zip(told, services, strict=True)))
    return told


async def _fill_in(
    told: ServiceStatus, platform: Platform, service: Service, queues: Mapping[str, Mapping[str, Any]] | None
) -> None:
    """What the service's database knows, and RabbitMQ of its queues."""
    failed: dict[tuple[str, str], int] = {}
    try:
        async with asyncio.timeout(PATIENCE):
            failed = await _ask_database(platform, service, told)
    except (SQLAlchemyError, asyncpg.PostgresError, OSError) as failure:
        told.trouble = f"its database cannot be asked ({type(failure).__name__})"
    if queues is None:
        told.trouble = told.trouble or "RabbitMQ cannot be asked"
    for subscription in service.subscriptions:
        states = {state: failed.get((subscription.name, state), 0) for state in STATES}
        told.queues[service.queue(subscription)] = _queue(queues, service.queue(subscription), states)
    told.queues[service.dead_queue] = _queue(queues, service.dead_queue, {})


def _queue(queues: Mapping[str, Mapping[str, Any]] | None, name: str, failed: dict[str, int]) -> Queue:
    known = (queues or {}).get(name, {})
    return Queue(messages=known.get("messages"), consumers=known.get("consumers"), failed=failed)


async def _ask_database(platform: Platform, service: Service, told: ServiceStatus) -> dict[tuple[str, str], int]:
    """Fills in what the service's database knows; gives its failed messages by subscription and state."""
    database = Database(engine_for(platform.database_url(service.name), pool_size=1), service.name)
    try:
        async with database.engine.connect() as connection:
            depth, age = await outbox_backlog(connection)
            failed = await failed_by_state(connection)
        async with database.transaction() as session:
            for replica in service.replicated:
                fresh = await replica.freshness(session)
                told.replicas[replica.__tablename__] = ReplicaStatus(
                    rows=fresh.rows, lag_seconds=round(fresh.lag.total_seconds(), 3)
                )
        told.outbox_events, told.outbox_oldest_age_seconds = depth, round(age, 1)
        return failed
    finally:
        await database.close()


async def _health(address: str, client: httpx.AsyncClient) -> str:
    """What the service at an address says of itself."""
    health = f"http://{address}/health"
    try:
        if (await client.get(f"{health}/ready")).status_code != httpx.codes.OK:
            return "not ready"
        return "well" if (await client.get(f"{health}/messaging")).status_code == httpx.codes.OK else "messages do not flow"
    except httpx.HTTPError:
        return NOBODY


async def _queues(platform: Platform) -> dict[str, dict[str, Any]] | None:
    """RabbitMQ's queues by name; None when it cannot be asked."""
    try:
        async with asyncio.timeout(PATIENCE), Management(platform.management_url, platform.vhost) as management:
            return {queue["name"]: queue for queue in await management.all_of("queues")}
    except (ManagementError, TimeoutError):
        return None


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """Show each service's health, outbox, queues, failed messages and replicas, and whom it asked.

    That is the platform that the environment names, else the one that `make up` started in this checkout.
    """
    try:
        platform = Platform.from_environment()
        told = asyncio.run(status(platform, services(), known()))
    except (AddressError, DeclarationError) as failure:
        raise click.ClickException(str(failure)) from failure
    if as_json:
        click.echo(json.dumps({"services": [asdict(each) for each in told]}, indent=2))
    else:
        _show(told)
        click.echo(_whom(platform))
        if all(each.health == NOBODY for each in told):
            click.echo(
                "no service answers there: start them (make up, or nilecare run --all), "
                "or say where they listen (NILECARE_HOST, NILECARE_LAB_PORT and so on)"
            )


def _whom(platform: Platform) -> str:
    """Which platform was asked, without its passwords."""
    postgres, management = (urlsplit(url) for url in (platform.postgres_url, platform.management_url))
    told_by = f"{DEVELOPMENT.parent.name}/{DEVELOPMENT.name}, which make up wrote," if is_of_checkout() else "the environment"
    return (
        f"asked as {told_by} says: PostgreSQL at {postgres.hostname}:{postgres.port or 5432}, databases {platform.prefix}_…; "
        f"RabbitMQ's management at {management.hostname}:{management.port or 15672}, vhost {platform.vhost}"
    )


def _show(told: Sequence[ServiceStatus]) -> None:
    console = Console()
    overview = _table("service", "asked at", "health", ">outbox", ">oldest")
    queues = _table("queue", ">waiting", ">consumers", "failed")
    replicas = _table("replica", ">rows", ">lag")
    for each in told:
        health = f"[green]{each.health}[/]" if each.health == "well" else f"[red]{each.health}[/]"
        overview.add_row(
            each.name, each.address, health, _shown(each.outbox_events), _shown(each.outbox_oldest_age_seconds, " s")
        )
        for name, queue in each.queues.items():
            failed = ", ".join(f"{count} {state}" for state, count in queue.failed.items() if count)
            queues.add_row(name, _shown(queue.messages), _shown(queue.consumers), failed)
        for name, replica in each.replicas.items():
            replicas.add_row(f"{each.name}.{name}", _shown(replica.rows), _shown(replica.lag_seconds, " s"))
    for table in (overview, queues, replicas):
        if table.row_count:
            console.print(table)
    for each in told:
        if each.trouble is not None:
            console.print(f"[red]{each.name}: {each.trouble}[/]")


def _table(*columns: str) -> Table:
    """A table; a column that begins with > holds numbers."""
    table = Table()
    for column in columns:
        table.add_column(column.removeprefix(">"), justify="right" if column.startswith(">") else "left", overflow="fold")
    return table


def _shown(number: float | None, unit: str = "") -> str:
    return "?" if number is None else f"{number}{unit}"
