"""The platform at work, for all tests of flows, and what has to be true of it when they are over."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from nilecare.stack import Servers
from tests.flows.closing import check_the_end
from tests.flows.hospital import Hospital
from tests.flows.running import Running, platform_running


@pytest.fixture(scope="package")
async def running(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """The four services and the card provider; the end proves that nothing was lost, doubled or disclosed."""
    async with platform_running(servers, tmp_path_factory.mktemp("flows") / "key.json") as running:
        yield running
        await check_the_end(running)


@pytest.fixture(scope="module")
async def hospital(running: Running) -> AsyncIterator[Hospital]:
    """A facility that is open: what it measures has prices; each module has its own."""
    hospital = Hospital(running)
    await hospital.opens()
    yield hospital
    await hospital.close()
