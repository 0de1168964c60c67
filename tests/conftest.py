"""What every test can ask for: real servers, databases made from a migrated template, virtual hosts of RabbitMQ."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Callable, Generator, Iterator

import pytest
from xdist.remote import Producer

from broker import clock
from broker.servers import Servers, Stack, start_stack
from broker.testing.scratch import Databases, VirtualHosts
from tests.distribution import LongestFirst


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What collecting imports stays to the end: it is never searched for garbage, neither while it grows nor in every test.

    What tests make is searched for it ten times less often than by default.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(7000, 10, 10)
        gc.enable()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=float, default=1.0, help="multiply how often the fault tests kill and cut (default: 1)")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LongestFirst | None:
    """`--dist loadfile` is ours; every other kind is pytest-xdist's own."""
    return LongestFirst(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.fixture(autouse=True)
def clock_put_back() -> Iterator[None]:
    """A test may move business time, which is the whole process's: the next test finds it as this one did."""
    shift = clock.shift
    yield
    clock.shift = shift


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> Callable[[int], int]:
    """How often to kill: `kills(20)` is 20, times what the option --kills says."""
    factor = request.config.getoption("--kills")
    return lambda count: max(1, round(count * factor))


@pytest.fixture(scope="session")
async def own_stack() -> AsyncIterator[Stack]:
    """Servers that this worker alone uses, to be killed. Whoever kills one starts it again."""
    async with start_stack("faults", own=True) as stack:
        yield stack


@pytest.fixture
async def database(servers: Servers) -> AsyncIterator[Databases]:
    """`await database()`: the address of a fresh database with the backbone's tables, dropped after the test.

    `await database(tables=service.tables, migrations=folder)` has a service's own tables too.
    """
    databases = Databases(servers.postgres_url)
    yield databases
    await databases.drop()


@pytest.fixture
async def vhost(servers: Servers) -> AsyncIterator[VirtualHosts]:
    """`await vhost()`: the amqp:// address of a fresh virtual host, removed after the test."""
    hosts = VirtualHosts(servers)
    yield hosts
    await hosts.drop()
