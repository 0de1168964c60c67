"""A house for each test, the courier with operations, and the nursery: on the run's servers, or on those that may be killed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple, Protocol, Self, TypeVar

import pytest

from broker.servers import Servers, Stack
from broker.testing.scratch import Databases, VirtualHosts
from tests.faults.copied import Copied
from tests.faults.house import House
from tests.faults.operated import Operated


class Ground(NamedTuple):
    """What a test's services stand on."""

    servers: Servers
    databases: Databases
    hosts: VirtualHosts


class Site(Protocol):
    """Services of a test, with nothing running yet."""

    async def open(self) -> Self: ...

    async def close(self) -> None: ...


Made = TypeVar("Made", bound=Site)


@asynccontextmanager
async def opened(site: Made) -> AsyncIterator[Made]:
    """A site, as long as the block lasts."""
    await site.open()
    try:
        yield site
    finally:
        await site.close()


@pytest.fixture
def ground(servers: Servers, database: Databases, vhost: VirtualHosts) -> Ground:
    """On the run's servers."""
    return Ground(servers, database, vhost)


@pytest.fixture
async def own_ground(own_stack: Stack) -> AsyncIterator[Ground]:
    """On servers that may be killed."""
    ground = Ground(own_stack.servers, Databases(own_stack.servers.postgres_url), VirtualHosts(own_stack.servers))
    yield ground
    await ground.databases.drop()
    await ground.hosts.drop()


@pytest.fixture
async def house(ground: Ground, tmp_path: Path) -> AsyncIterator[House]:
    """The desk and the archive."""
    async with opened(House(*ground, tmp_path)) as house:
        yield house


@pytest.fixture
async def own_house(own_ground: Ground, tmp_path: Path) -> AsyncIterator[House]:
    async with opened(House(*own_ground, tmp_path)) as house:
        yield house


@pytest.fixture
async def operated(ground: Ground, tmp_path: Path) -> AsyncIterator[Operated]:
    """The courier and operations."""
    async with opened(Operated(*ground, tmp_path)) as operated:
        yield operated


@pytest.fixture
async def own_operated(own_ground: Ground, tmp_path: Path) -> AsyncIterator[Operated]:
    async with opened(Operated(*own_ground, tmp_path)) as operated:
        yield operated


@pytest.fixture
async def copied(ground: Ground, tmp_path: Path) -> AsyncIterator[Copied]:
    """The nursery and its replicas' services."""
    async with opened(Copied(*ground, tmp_path)) as copied:
        yield copied


@pytest.fixture
async def own_copied(own_ground: Ground, tmp_path: Path) -> AsyncIterator[Copied]:
    async with opened(Copied(*own_ground, tmp_path)) as copied:
        yield copied
