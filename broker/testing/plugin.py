"""The pytest plug-in: servers for the run, a platform for each worker, and `flow`, which knows when a flow is over.

A project's conftest.py says which services it tests, and what the world outside is:

    @pytest.fixture(scope="session")
    def services_under_test() -> list[Service]:
        return [orders, billing]
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import pytest_asyncio

from broker import Service, clock
from broker.servers import Servers, StackError
from broker.testing import crashing
from broker.testing.deployment import Deployment, deployed
from broker.testing.errors import FlowFailed
from broker.testing.flow import Flow
from broker.testing.keeper import KEEPER, StackKeeper, servers_of_this_run
from broker.testing.outside import World

DIAGRAMS = "--flow-diagrams"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("flows of domain events")
    group.addoption(DIAGRAMS, type=Path, help="write a Mermaid diagram of each flow that failed into this folder")
    parser.addini("flow_deadline", "seconds without any change after which a flow is given up (default: 30)", default="30")


def pytest_configure(config: pytest.Config) -> None:
    about = "run the test once more for each point at which a process of its services can die on the way of its flows"
    config.addinivalue_line("markers", f"{crashing.MARK}: {about}")
    # A test that runs pytest itself shares the outer run's servers.
    if not hasattr(config, "workerinput") and KEEPER not in os.environ:
        config.pluginmanager.register(StackKeeper(), "stack-keeper")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """A platform lives as long as its worker, and so in one event loop: tests of flows run in that one."""
    for item in items:
        if "flow" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """A test of every crash point is run here, as often as there are any."""
    if isinstance(item, pytest.Function) and item.get_closest_marker(crashing.MARK) is not None:
        crashing.run(item, nextitem)
        return True
    return None


def check_is_of(deployment: Deployment, services: Sequence[Service]) -> None:
    """Raises UsageError for other services than those at work."""
    names = {service.name for service in services}
    if deployment.under_test != names:
        there, wanted = (" and ".join(sorted(each)) for each in (deployment.under_test, names))
        raise pytest.UsageError(f"{there} is at work, and {wanted} under test: override the fixture `deployment` there too")


@pytest.fixture(scope="session")
def servers() -> Servers:
    """The servers of this test run, with accounts that may do everything. Shared: no test kills them."""
    try:
        return servers_of_this_run()
    except StackError as failure:
        pytest.exit(str(failure), returncode=2)


@pytest.fixture(scope="session")
def services_under_test() -> Sequence[Service]:
    """The services whose flows are tested: to be overridden in conftest.py."""
    raise pytest.UsageError("say in conftest.py which services are tested: a session fixture `services_under_test`")


@pytest.fixture(scope="session")
def world_outside() -> World:
    """What the services call outside: to be overridden in conftest.py by who tests services that do."""
    return World()


@pytest.fixture(scope="session")
def released_schemas() -> Path | None:
    """The folder in which the project has its contracts' released schemas: to be overridden in conftest.py where it has one."""
    return None


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def deployment(
    servers: Servers, services_under_test: Sequence[Service], world_outside: World, released_schemas: Path | None
) -> AsyncIterator[Deployment]:
    """The services at work on a virtual host and databases of this worker's own, for all its tests."""
    async with deployed(servers, services_under_test, world_outside) as deployment:
        deployment.schemas = released_schemas
        yield deployment
        late = await deployment.late()
        if late:
            raise FlowFailed("; ".join(late))


@pytest_asyncio.fixture(loop_scope="session")
async def business_time(deployment: Deployment) -> AsyncIterator[None]:
    """Goes on from test to test of flows, and is the wall clock's elsewhere.

    To be overridden by who has fixtures that live longer than a test and move the clock.
    """
    before, clock.shift = clock.shift, deployment.shift
    yield
    deployment.shift, clock.shift = clock.shift, before


@pytest_asyncio.fixture(loop_scope="session")
async def flow(
    deployment: Deployment, services_under_test: Sequence[Service], business_time: None, request: pytest.FixtureRequest
) -> AsyncIterator[Flow]:
    """What a test says of its flows."""
    check_is_of(deployment, services_under_test)
    patience = float(request.config.getini("flow_deadline"))
    async with crashing.on_course(deployment, request.node):
        yield Flow(deployment, name=request.node.nodeid, patience=patience, diagrams=request.config.getoption(DIAGRAMS))
