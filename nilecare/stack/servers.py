"""What the rest of the platform sees of its servers: three addresses, and a handle on each server that is ours."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from nilecare.stack.errors import StackError

VARIABLES = {
    "postgres_url": "NILECARE_POSTGRES_URL",
    "amqp_url": "NILECARE_AMQP_URL",
    "management_url": "NILECARE_MANAGEMENT_URL",
}


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
