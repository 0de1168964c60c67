"""Servers from the binaries of this machine, as private instances; installed with apt when that is possible and needed."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from nilecare.stack.apt import install
from nilecare.stack.errors import StackError, Unavailable
from nilecare.stack.home import Home
from nilecare.stack.ports import free_ports
from nilecare.stack.postgres import PrivatePostgres, find_postgres
from nilecare.stack.rabbitmq import PrivateRabbitMQ, find_rabbitmq
from nilecare.stack.servers import Servers

_ATTEMPTS = 3


class Binaries:
    """RabbitMQ and PostgreSQL as processes of this machine."""

    def __init__(self, home: Home, postgres: Path, rabbitmq: Path, *, password: str, durable: bool) -> None:
        database_port, *broker_ports = free_ports(5)
        amqp, management, distribution, epmd = broker_ports
        self.postgres = PrivatePostgres(home, postgres, port=database_port, password=password, durable=durable)
        self.rabbitmq = PrivateRabbitMQ(
            home, rabbitmq, ports=(amqp, management, distribution, epmd), user="nilecare", password=password
        )
        self.servers = Servers(
            postgres_url=f"postgresql://postgres:{password}@127.0.0.1:{database_port}/postgres",
            amqp_url=f"amqp://nilecare:{password}@127.0.0.1:{amqp}/",
            management_url=self.rabbitmq.management_url,
        )

    @classmethod
    def start(cls, home: Home, *, password: str | None, durable: bool) -> Binaries:
        """Starts both. Ports that somebody takes between the choice and the start cost another try, with others."""
        postgres, rabbitmq = _programs()
        for attempt in range(1, _ATTEMPTS + 1):
            binaries = cls(home, postgres, rabbitmq, password=password or secrets.token_hex(16), durable=durable)
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
        with ThreadPoolExecutor() as pool:
            for started in [pool.submit(server.start) for server in (self.postgres, self.rabbitmq)]:
                started.result()

    def close(self, *, orderly: bool) -> None:
        """Ends both."""
        with ThreadPoolExecutor() as pool:
            for server in (self.postgres, self.rabbitmq):
                pool.submit(server.stop if orderly else server.kill)


def _programs() -> tuple[Path, Path]:
    postgres, rabbitmq = find_postgres(), find_rabbitmq()
    if postgres is None or rabbitmq is None:
        install([*(["postgresql"] if postgres is None else []), *(["rabbitmq-server"] if rabbitmq is None else [])])
        postgres, rabbitmq = find_postgres(), find_rabbitmq()
    if postgres is None or rabbitmq is None:
        raise Unavailable("apt installed the servers, but their programs are not where they should be")
    return postgres, rabbitmq
