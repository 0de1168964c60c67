"""Where the servers come from, and what holds them while they run."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from broker.servers import processes
from broker.servers.binaries import Binaries
from broker.servers.containers import Containers
from broker.servers.errors import StackError, Unavailable
from broker.servers.home import Home
from broker.servers.servers import VARIABLES, Server, Servers

SOURCE = "NILECARE_SERVERS"
"""Set to `containers` or `binaries` to have the servers from there and nowhere else."""


class Running(Protocol):
    """A pair of servers that this process started."""

    servers: Servers

    @property
    def postgres(self) -> Server: ...

    @property
    def rabbitmq(self) -> Server: ...

    def close(self, *, orderly: bool) -> None:
        """Ends both."""


SOURCES: dict[str, Callable[..., Running]] = {"containers": Containers.start, "binaries": Binaries.start}


class Stack:
    """RabbitMQ and PostgreSQL for as long as the block lasts, in a `with` or an `async with`.

    Servers from the environment are only used; ours are thrown away with all they stored.
    """

    def __init__(self, name: str, *, own: bool = False, durable: bool = False) -> None:
        self.name = name
        self._own = own
        self._durable = durable
        self._servers: Servers | None = None
        self._running: Running | None = None
        self._home: Home | None = None

    @property
    def servers(self) -> Servers:
        """The addresses."""
        if self._servers is None:
            raise StackError("the stack has not started")
        return self._servers

    @property
    def environment(self) -> dict[str, str]:
        """Variables for a process that works with these servers: their addresses, and the mark by which it is ended with them.

        Whatever happens to its parent, the stack's end, the next run or `make down` finds it.
        """
        return {**self.servers.environment(), processes.MARK: str(self._home.folder if self._home else "")}

    @property
    def is_ours(self) -> bool:
        """Whether this process started the servers, so that it may kill them."""
        return self._running is not None

    @property
    def postgres(self) -> Server:
        """PostgreSQL, to be killed and started. Raises StackError for a server that is not ours."""
        return self._ours.postgres

    @property
    def rabbitmq(self) -> Server:
        """RabbitMQ, to be killed and started. Raises StackError for a server that is not ours."""
        return self._ours.rabbitmq

    @property
    def _ours(self) -> Running:
        if self._running is None:
            raise StackError("these servers were given by the environment: they are not ours to start and stop")
        return self._running

    def start(self) -> Self:
        """Finds or starts the servers. Raises StackError with the choices when there are none."""
        self._home = Home.take(self.name)
        try:
            self._servers = None if self._own else Servers.given()
            if self._servers is None:
                self._running = _start(self._home, durable=self._durable)
                self._servers = self._running.servers
        except BaseException:
            self._home.give_back()
            raise
        return self

    def close(self) -> None:
        """Ends the servers that are ours, and every process that has the stack's environment."""
        if self._home is not None:
            self._home.end_processes()
            if self._running is not None:
                self._running.close(orderly=False)
            self._home.clear()
            self._home.give_back()
        self._running = self._home = self._servers = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.start)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.close)


def start_stack(name: str, *, own: bool = False, durable: bool = False) -> Stack:
    """The servers for one run, under a name that says what for (`demo`, `bench`); used in a `with` or an `async with`.

    `own` passes over servers from the environment: for a run that kills them. `durable` lets a private PostgreSQL call fsync:
    for a run that measures.
    """
    return Stack(name, own=own, durable=durable)


def _start(home: Home, *, durable: bool) -> Running:
    wanted = os.environ.get(SOURCE)
    if wanted is not None and wanted not in SOURCES:
        raise StackError(f"{SOURCE} is {wanted!r}: it can be {' or '.join(SOURCES)}")
    refusals: list[str] = []
    for name, start in SOURCES.items():
        if wanted in (None, name):
            try:
                return start(home, durable=durable)
            except Unavailable as refusal:
                refusals.append(f"  - {name}: {refusal}")
    raise StackError(
        "no servers: RabbitMQ and PostgreSQL can come from\n"
        f"  - the environment: set {', '.join(VARIABLES.values())}\n"
        "  - a Docker Engine that this account may use\n"
        "  - rabbitmq-server and postgres installed on this machine (they need not run)\n"
        "  - apt, on Debian or Ubuntu with root or sudo\n"
        "but here:\n" + "\n".join(refusals)
    )
