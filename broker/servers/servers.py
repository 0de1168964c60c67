"""What the rest of the platform sees of its servers: three addresses, and a handle on each server that is ours."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from broker.servers.errors import StackError
from broker.servers.ports import free_ports

VARIABLES = {
    "postgres_url": "NILECARE_POSTGRES_URL",
    "amqp_url": "NILECARE_AMQP_URL",
    "management_url": "NILECARE_MANAGEMENT_URL",
}

# RabbitMQ (3.10 and 4.0) writes its directory of quorum queues half a second late. A quorum queue whose node is killed before
# that stays declared and never has a leader again: publishing to it and consuming from it hang. Kills are to meet queues at
# work, not their declaration, so `kill` waits these seconds first.
QUEUE_IS_KEPT = 1.0

# A platform of nine services holds up to 198 connections, and test workers run one each beside their other databases.
MAX_CONNECTIONS = 1000


@dataclass(frozen=True, slots=True)
class Servers:
    """Where the servers are, with accounts that may do everything on them."""

    postgres_url: str
    """PostgreSQL as a superuser: postgresql://user:password@host:port/postgres."""

    amqp_url: str
    """RabbitMQ as an administrator: amqp://user:password@host:port/."""

    management_url: str
    """RabbitMQ's management API as the same administrator: http://user:password@host:port."""

    def environment(self) -> dict[str, str]:
        """The variables that hand these servers on to another process."""
        return {variable: getattr(self, name) for name, variable in VARIABLES.items()}

    @classmethod
    def local(cls, postgres_port: int, amqp_port: int, management_port: int, *, password: str) -> Servers:
        """Servers on this machine, as their administrators `postgres` and `nilecare`."""
        return cls(
            postgres_url=f"postgresql://postgres:{password}@127.0.0.1:{postgres_port}/postgres",
            amqp_url=f"amqp://nilecare:{password}@127.0.0.1:{amqp_port}/",
            management_url=f"http://nilecare:{password}@127.0.0.1:{management_port}",
        )

    @classmethod
    def fresh(cls) -> Servers:
        """Servers on this machine that nobody has: on free ports, with a password made up now."""
        return cls.local(*free_ports(3), password=secrets.token_hex(16))

    @property
    def ports(self) -> tuple[int, int, int]:
        """The ports of PostgreSQL, AMQP and the management API."""
        postgres, amqp, management = (
            urlsplit(url).port or 0 for url in (self.postgres_url, self.amqp_url, self.management_url)
        )
        return postgres, amqp, management

    @property
    def password(self) -> str:
        """The administrators' password on servers that this project starts: the same on both."""
        return urlsplit(self.postgres_url).password or ""

    @classmethod
    def given(cls, environment: Mapping[str, str] = os.environ) -> Servers | None:
        """The servers whose addresses stand in the environment, or None. Raises StackError when only some of them do."""
        values = {name: environment.get(variable, "") for name, variable in VARIABLES.items()}
        missing = [VARIABLES[name] for name, value in values.items() if not value]
        if len(missing) == len(values):
            return None
        if missing:
            raise StackError(f"{' and '.join(missing)} must be set too: servers from the environment need all three addresses")
        return cls(**values)


class Server(Protocol):
    """One server that this process started. After `kill` or `stop`, `start` brings it back at the same address.

    All of these wait until what they say is done (seconds for `start`): call them through `asyncio.to_thread` in a loop.
    """

    def start(self) -> None:
        """Starts it and returns when it answers. Raises StackError when it does not."""

    def stop(self) -> None:
        """Lets it shut down in order; what it stores is on the disk."""

    def kill(self) -> None:
        """Ends it at once, as kill -9 does, with every process it has."""

    def pause(self) -> None:
        """Freezes it: connections stay open, nothing answers."""

    def resume(self) -> None:
        """Goes on after `pause`."""
