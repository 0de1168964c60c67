"""The platform at work, for all tests of flows, and what has to be true of it when they are over."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import httpx
import pytest

from broker import Service
from broker.servers import Servers
from broker.testing import Deployment
from tests.flows.asked import ROLES
from tests.flows.closing import check_the_end
from tests.flows.hospital import Hospital
from tests.flows.outside import Outside
from tests.flows.running import SERVICES, Running, platform_running


@pytest.fixture(scope="session")
def services_under_test() -> Sequence[Service]:
    """All that there are."""
    return SERVICES


@pytest.fixture(scope="package")
async def world_outside() -> AsyncIterator[Outside]:
    """Whom the hospital calls."""
    async with Outside.serving() as outside:
        yield outside


@pytest.fixture(scope="package")
async def running(servers: Servers, services_under_test: Sequence[Service], world_outside: Outside) -> AsyncIterator[Running]:
    """The services and what they call outside; the end proves that nothing was lost, doubled or disclosed."""
    async with platform_running(servers, services_under_test, world_outside) as running:
        yield running
        await check_the_end(running)


@pytest.fixture(scope="package")
def deployment(running: Running) -> Deployment:
    """The same, as the kit for tests of flows sees it; it ends with the last test of flows."""
    return running.deployment


@pytest.fixture(autouse=True)
def clock_put_back() -> None:
    """Here time goes on from test to test, in the platform's databases as in this process, until the platform ends."""


@pytest.fixture
def business_time() -> None:
    """As `clock_put_back`."""


@pytest.fixture(scope="module")
async def hospital(running: Running) -> AsyncIterator[Hospital]:
    """A facility that is open: what it measures has prices; each module has its own."""
    hospital = Hospital(running)
    await hospital.opens()
    yield hospital
    await hospital.close()


@pytest.fixture(scope="module")
async def anybody(running: Running) -> AsyncIterator[dict[str, httpx.AsyncClient]]:
    """A client of each service whose token carries every role, everywhere."""
    clients = {}
    for name, roles in ROLES.items():
        clients[name] = running.deployment.client(name, running.deployment.token(*roles))
    yield clients
    for client in clients.values():
        await client.aclose()


@pytest.fixture(scope="module")
async def nobody(running: Running) -> AsyncIterator[dict[str, httpx.AsyncClient]]:
    """A client of each service without a token."""
    clients = {name: running.deployment.client(name) for name in ROLES}
    yield clients
    for client in clients.values():
        await client.aclose()
