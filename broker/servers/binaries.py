"""Servers from the binaries of this machine, as private instances; installed with apt when that is possible and needed."""

from __future__ import annotations

from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path

from broker.servers.apt import install
from broker.servers.errors import StackError, Unavailable
from broker.servers.home import Home
from broker.servers.ports import free_ports
from broker.servers.postgres import PrivatePostgres, find_postgres
from broker.servers.rabbitmq import BrokerPorts, PrivateRabbitMQ, find_rabbitmq
from broker.servers.servers import Servers

_ATTEMPTS = 3


class Binaries:
    """RabbitMQ and PostgreSQL as processes of this machine."""

    def __init__(self, home: Home, postgres: Path, rabbitmq: Path, servers: Servers, *, durable: bool) -> None:
        self.servers = servers
        database_port, amqp_port, management_port = servers.ports
        self.postgres = PrivatePostgres(home, postgres, port=database_port, password=servers.password, durable=durable)
        ports = BrokerPorts(amqp_port, management_port, *free_ports(2))
        self.rabbitmq = PrivateRabbitMQ(home, rabbitmq, ports=ports, password=servers.password)

    @classmethod
    def start(cls, home: Home, servers: Servers | None = None, *, durable: bool) -> Binaries:
        """Starts both, at the addresses in `servers` or at fresh ones.

        Fresh servers begin with nothing; ports that somebody takes between the choice and the start cost another try.
        """
        programs = _programs()
        for attempt in range(1, _ATTEMPTS + 1):
            if servers is None:
                home.clear()
            binaries = cls(home, *programs, servers or Servers.fresh(), durable=durable)
            try:
                binaries._start_both()
            except StackError:
                binaries.close(orderly=False)
                if attempt == _ATTEMPTS:
                    raise
            else:
                return binaries
        raise AssertionError("unreachable")

    def _start_both(self) -> None:
        """When one cannot start, nobody waits for the other."""
        with ThreadPoolExecutor() as pool:
            starting = [pool.submit(server.start) for server in (self.postgres, self.rabbitmq)]
            failed = [each for each in wait(starting, return_when=FIRST_EXCEPTION).done if each.exception()]
            if failed:
                self.close(orderly=False)
        for each in failed:
            each.result()

    def close(self, *, orderly: bool) -> None:
        """Ends both."""
        with ThreadPoolExecutor() as pool:
            for server in (self.postgres, self.rabbitmq):
                pool.submit(server.stop if orderly else server.discard)


def _programs() -> tuple[Path, Path]:
    postgres, rabbitmq = find_postgres(), find_rabbitmq()
    if postgres is None or rabbitmq is None:
        install([*(["postgresql"] if postgres is None else []), *(["rabbitmq-server"] if rabbitmq is None else [])])
        postgres, rabbitmq = find_postgres(), find_rabbitmq()
    if postgres is None or rabbitmq is None:
        raise Unavailable("apt installed the servers, but their programs are not where they should be")
    return postgres, rabbitmq
