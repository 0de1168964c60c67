"""Each service's HTTP API on a real server, over a database in which there is something to ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from broker import Service
from broker.servers import Servers
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
def serve(servers: Servers) -> Iterator[Callable[[Service], Served]]:
    """Serves a service until another one is asked for."""
    with ExitStack() as stack:
        serving: list[Served] = []

        def serve(service: Service) -> Served:
            if not serving or serving[-1].service is not service:
                stack.close()
                serving.append(stack.enter_context(Served(service, servers)))
            return serving[-1]

        yield serve
