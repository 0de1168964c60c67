"""A house for each test, on the run's servers; and the courier with operations."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from broker.servers import Servers, Stack
from broker.testing.scratch import Databases, VirtualHosts
from tests.faults.copied import Copied
from tests.faults.house import House
from tests.faults.operated import Operated


@pytest.fixture
async def house(servers: Servers, database: Databases, vhost: VirtualHosts, tmp_path: Path) -> AsyncIterator[House]:
    """The desk and the archive, with nothing running yet."""
    house = await House(servers, database, vhost, tmp_path).open()
    yield house
    await house.close()


@pytest.fixture
async def own_house(own_stack: Stack, tmp_path: Path) -> AsyncIterator[House]:
    """The same on servers that may be killed."""
    databases, hosts = Databases(own_stack.servers.postgres_url), VirtualHosts(own_stack.servers)
    house = await House(own_stack.servers, databases, hosts, tmp_path).open()
    yield house
    await house.close()
    await databases.drop()
    await hosts.drop()


@pytest.fixture
async def operated(servers: Servers, database: Databases, vhost: VirtualHosts, tmp_path: Path) -> AsyncIterator[Operated]:
    """The courier and operations, with nothing running yet."""
    operated = await Operated(servers, database, vhost, tmp_path).open()
    yield operated
    await operated.close()


@pytest.fixture
async def own_operated(own_stack: Stack, tmp_path: Path) -> AsyncIterator[Operated]:
    """The same on servers that may be killed."""
    databases, hosts = Databases(own_stack.servers.postgres_url), VirtualHosts(own_stack.servers)
    operated = await Operated(own_stack.servers, databases, hosts, tmp_path).open()
    yield operated
    await operated.close()
    await databases.drop()
    await hosts.drop()


@pytest.fixture
async def copied(servers: Servers, database: Databases, vhost: VirtualHosts, tmp_path: Path) -> AsyncIterator[Copied]:
    """The nursery and its replicas' services, with nothing running yet."""
    copied = await Copied(servers, database, vhost, tmp_path).open()
    yield copied
    await copied.close()


@pytest.fixture
async def own_copied(own_stack: Stack, tmp_path: Path) -> AsyncIterator[Copied]:
    """The same on servers that may be killed."""
    databases, hosts = Databases(own_stack.servers.postgres_url), VirtualHosts(own_stack.servers)
    copied = await Copied(own_stack.servers, databases, hosts, tmp_path).open()
    yield copied
    await copied.close()
    await databases.drop()
    await hosts.drop()
