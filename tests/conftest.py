"""What every test can ask for: real servers, databases made from a migrated template, virtual hosts of RabbitMQ."""

from __future__ import annotations

import gc
import os
import secrets
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from multiprocessing.connection import Client, Listener

import pytest
from xdist.remote import Producer

from broker import clock
from broker.servers import Servers, Stack, StackError, start_stack
from tests.distribution import LongestFirst
from tests.scratch import Databases, VirtualHosts

KEEPER = "NILECARE_TEST_STACK_KEEPER"


class StackKeeper:
    """Holds one stack for a whole test run, in pytest's first process; its workers ask for the addresses.

    It starts the servers when they are first asked for, and the run ends them.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(16)
        self._listener = Listener(family="AF_UNIX", authkey=self._key)
        self._stack = start_stack("test")
        self._thread = threading.Thread(target=self._serve, daemon=True, name="stack keeper")

    def pytest_configure(self) -> None:
        os.environ[KEEPER] = f"{self._key.hex()} {self._listener.address}"
        self._thread.start()

    def pytest_unconfigure(self) -> None:
        self._answer_to(None)
        self._thread.join()
        self._listener.close()
        self._stack.close()

    def _answer_to(self, question: object) -> None:
        with Client(self._listener.address, family="AF_UNIX", authkey=self._key) as line:
            line.send(question)

    def _serve(self) -> None:
        started: Servers | StackError | None = None
        while True:
            with self._listener.accept() as line:
                if line.recv() is None:
                    return
                started = started or self._start()
                line.send(started)

    def _start(self) -> Servers | StackError:
        try:
            return self._stack.start().servers
        except StackError as failure:
            return failure


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What collecting imports stays to the end: it is never searched for garbage, neither while it grows nor in every test."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=float, default=1.0, help="multiply how often the fault tests kill and cut (default: 1)")


def pytest_configure(config: pytest.Config) -> None:
    # A test that runs pytest itself shares the outer run's servers.
    if not hasattr(config, "workerinput") and KEEPER not in os.environ:
        keeper = StackKeeper()
        config.pluginmanager.register(keeper, "stack-keeper")


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
def servers() -> Servers:
    """The servers of this test run, with accounts that may do everything. Shared: no test kills them."""
    given = Servers.given()
    if given is not None:
        return given
    key, address = os.environ[KEEPER].split(" ", 1)
    with Client(address, family="AF_UNIX", authkey=bytes.fromhex(key)) as line:
        line.send("servers")
        answer = line.recv()
    if isinstance(answer, StackError):
        pytest.exit(str(answer), returncode=2)
    assert isinstance(answer, Servers)
    return answer


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
