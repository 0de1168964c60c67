"""Services at work, for all tests of services."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from broker.servers import Servers
from broker.testing.scratch import Databases
from tests.services.shared import Workplaces


@pytest.fixture(scope="session")
async def workplaces(servers: Servers) -> AsyncIterator[Workplaces]:
    """`async with workplaces.of(service)`: the service over a database that nobody else uses meanwhile."""
    databases = Databases(servers.postgres_url)
    workplaces = Workplaces(databases)
    yield workplaces
    await workplaces.close()
    await databases.drop()
