"""The platform at work, for all tests of flows, and what has to be true of it when they are over."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest

from broker.servers import Servers
from nilecare.token import development_token
from tests.flows.asked import ROLES
from tests.flows.closing import check_the_end
from tests.flows.hospital import Hospital
from tests.flows.running import Running, platform_running


@pytest.fixture(scope="package")
async def running(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """The services and what they call outside; the end proves that nothing was lost, doubled or disclosed."""
    async with platform_running(servers, tmp_path_factory.mktemp("flows") / "key.json") as running:
        yield running
        await check_the_end(running)


@pytest.fixture(autouse=True)
def clock_put_back() -> None:
    """Here time goes on from test to test, in the platform's databases as in this process, until the platform ends."""


@pytest.fixture(scope="module")
async def hospital(running: Running) -> AsyncIterator[Hospital]:
    """A facility that is open: what it measures has prices; each module has its own."""
    hospital = Hospital(running)
    await hospital.opens()
    await running.settled()
    yield hospital
    await hospital.close()


@pytest.fixture(scope="module")
async def anybody(running: Running) -> AsyncIterator[dict[str, httpx.AsyncClient]]:
    """A client of each service whose token carries every role, everywhere."""
    clients = {}
    for name, roles in ROLES.items():
        token = development_token(roles, subject=str(uuid4()), file=running.key_file)
        headers = {"Authorization": f"Bearer {token}"}
        clients[name] = httpx.AsyncClient(base_url=running.address(name), headers=headers, timeout=30)
    yield clients
    for client in clients.values():
        await client.aclose()


@pytest.fixture(scope="module")
async def nobody(running: Running) -> AsyncIterator[dict[str, httpx.AsyncClient]]:
    """A client of each service without a token."""
    clients = {name: httpx.AsyncClient(base_url=running.address(name), timeout=30) for name in ROLES}
    yield clients
    for client in clients.values():
        await client.aclose()
