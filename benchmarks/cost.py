"""What work costs on this machine: processor time of the client and of each server, and the client's memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import psutil

from broker.servers import Servers

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Cpu:
    """Processor seconds."""

    client: float
    rabbitmq: float
    postgresql: float

    def __sub__(self, earlier: Cpu) -> Cpu:
        return Cpu(self.client - earlier.client, self.rabbitmq - earlier.rabbitmq, self.postgresql - earlier.postgresql)

    def __mul__(self, factor: float) -> Cpu:
        return Cpu(self.client * factor, self.rabbitmq * factor, self.postgresql * factor)

    @property
    def total(self) -> float:
        """All three."""
        return self.client + self.rabbitmq + self.postgresql


class Meter:
    """Reads the costs of one client process, with its children, and of the servers where they run on this machine."""

    def __init__(self, servers: Servers, client: int) -> None:
        self._client = psutil.Process(client)
        self._rabbitmq = listening_on(urlsplit(servers.amqp_url).port or 5672)
        self._postgresql = listening_on(urlsplit(servers.postgres_url).port or 5432)

    def cpu(self) -> Cpu:
        """What all three have used since they began; 0 for a server elsewhere."""
        return Cpu(_cpu(self._client), _cpu(self._rabbitmq), _cpu(self._postgresql))

    def memory_mib(self) -> float:
        """What the client and its children hold now: proportional set size, which counts shared pages once."""
        total = 0
        for process in _tree(self._client):
            with contextlib.suppress(psutil.Error):
                total += process.memory_full_info().pss
        return total / MIB


def listening_on(port: int) -> psutil.Process | None:
    """The process of this machine that listens on a port; None when there is none to be seen."""
    for connection in psutil.net_connections("tcp"):
        is_it = connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
        if is_it and connection.pid:
            return psutil.Process(connection.pid)
    return None


def _cpu(process: psutil.Process | None) -> float:
    total = 0.0
    for each in _tree(process) if process else ():
        with contextlib.suppress(psutil.Error):
            times = each.cpu_times()
            # Of children that have ended: their parent keeps the sum.
            total += times.user + times.system + times.children_user + times.children_system
    return total


def _tree(process: psutil.Process) -> Iterator[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        yield process
        yield from process.children(recursive=True)
