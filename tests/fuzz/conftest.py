"""Each service's HTTP API on a real server, over a database in which there is something to ask for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from broker import Service
from nilecare.stack import Servers
from tests.fuzz.serving import Served


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--fuzz",
        type=int,
        default=0,
        metavar="N",
        help="send every operation of the HTTP APIs N requests made up at random (default: a few, always the same)",
    )


@pytest.fixture(scope="module")
def served(request: pytest.FixtureRequest, servers: Servers) -> Iterator[Served]:
    """The service that the test is parametrised with; one runs at a time."""
    service: Service = request.param
    with Served(service, servers) as serving:
        yield serving
