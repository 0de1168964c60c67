"""Containers of a Docker Engine, as far as they can be understood without one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier, BrokenBarrierError

from broker.servers.containers import ContainerServer

LONG_ENOUGH = 0.3
"""Seconds that the one who is made waits for the other to be made at the same time."""


class Reaped:
    """A container as testcontainers makes it: with the first of a process a reaper, whose name nobody else may have."""

    both_are_made = Barrier(2)

    def start(self) -> None:
        with suppress(BrokenBarrierError):
            self.both_are_made.wait(LONG_ENOUGH)
            raise AssertionError("409 Conflict: the reaper's name is in use")


def test_two_are_made_one_after_the_other() -> None:
    """Both servers are started at once, and the reaper is made once."""
    servers = [ContainerServer(name, Reaped(), lambda: True) for name in ("postgres", "rabbitmq")]  # type: ignore[arg-type]
    with ThreadPoolExecutor() as pool:
        for started in [pool.submit(server.start) for server in servers]:
            started.result()
