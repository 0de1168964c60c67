"""Where the servers are and as whom each service speaks to them, read from the environment.

Who sets the platform up knows administrators' addresses and one secret, from which every account's password follows:

    NILECARE_POSTGRES_URL     postgresql://admin:password@host:5432/postgres
    NILECARE_AMQP_URL         amqp://admin:password@host:5672/vhost
    NILECARE_MANAGEMENT_URL   http://admin:password@host:15672
    NILECARE_SECRET           any long random text

A service in production knows only itself: NILECARE_SECRET is absent, NILECARE_AMQP_URL is its own account's and
NILECARE_DATABASE_URL its own database's.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from broker import Service, Settings
from broker._platform import PREFIX
from broker._platform import Platform as Deployed

ADDRESSES = ("NILECARE_POSTGRES_URL", "NILECARE_DATABASE_URL", "NILECARE_AMQP_URL", "NILECARE_MANAGEMENT_URL")
DEVELOPMENT = Path(__file__).parent.parent / ".local" / ".env"
"""What `make up` decided for this checkout."""


class AddressError(Exception):
    """The environment lacks an address that the command needs, or has an unusable one; the message names the variable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform(Deployed):
    """The platform that the environment describes."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.prefix):
            raise AddressError(f"NILECARE_PREFIX is {self.prefix!r}: use a-z, 0-9 and _, a letter first")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """The platform that NILECARE_… variables describe. Raises AddressError, naming all that are absent."""
        environment = known() if environment is None else environment
        names = ("NILECARE_POSTGRES_URL", "NILECARE_AMQP_URL", "NILECARE_MANAGEMENT_URL", "NILECARE_SECRET")
        postgres, amqp, management, secret = required(environment, *names)
        prefix = environment.get("NILECARE_PREFIX", PREFIX)
        return cls(postgres_url=postgres, amqp_url=amqp, management_url=management, secret=secret, prefix=prefix)

    def settings_for(self, service: Service, environment: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
        """What the service's process must be told, with what the environment says of it; `overrides` win."""
        environment = known() if environment is None else environment
        return self.settings(service, **(_ways(service, environment) | overrides))


def settings_for(service: Service, environment: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """The service's settings from the environment, whichever of the two kinds it is; `overrides` win.

    Raises AddressError, also where a journal would be kept without a look at who hears what.
    """
    environment = known() if environment is None else environment
    if environment.get("NILECARE_SECRET"):
        return Platform.from_environment(environment).settings_for(service, environment, **overrides)
    database, amqp = required(environment, "NILECARE_DATABASE_URL", "NILECARE_AMQP_URL")
    settings = Settings(
        database_url=database,
        amqp_url=amqp,
        management_url=environment.get("NILECARE_MANAGEMENT_URL"),
        **_ways(service, environment),
    )
    if settings.journal and not settings.management_url:
        raise AddressError(
            "NILECARE_JOURNAL needs NILECARE_MANAGEMENT_URL, with the account nilecare_observer: it says who hears what"
        )
    return replace(settings, **overrides)


def known() -> Mapping[str, str]:
    """The environment; where it names no address, not even an empty one, with what `make up` wrote down for this checkout."""
    return read_variables(DEVELOPMENT) | os.environ if is_of_checkout() else os.environ


def is_of_checkout() -> bool:
    """Whether what is known is what `make up` wrote down for this checkout."""
    return not any(name in os.environ for name in ADDRESSES) and DEVELOPMENT.is_file()


def address_of(service: Service, environment: Mapping[str, str]) -> str:
    """Host and port at which the service is asked from this machine. NILECARE_LAB_PORT tells the port, if it is not its own."""
    ways = _ways(service, environment)
    host = str(ways["host"]).replace("0.0.0.0", "127.0.0.1")  # noqa: S104  # what it means to a client
    return f"{host}:{service.port if ways['port'] is None else ways['port']}"


def read_variables(file: Path) -> dict[str, str]:
    """The variables in a file that a shell could read."""
    pairs = (part.partition("=") for part in shlex.split(file.read_text(), comments=True))
    return {name: value for name, _, value in pairs}


def required(environment: Mapping[str, str], *names: str) -> list[str]:
    """The values of these variables. Raises AddressError, naming all that are absent."""
    absent = [name for name in names if not environment.get(name)]
    if absent:
        raise AddressError(f"{', '.join(absent)} must be set in the environment; `make up` starts a platform that needs none")
    return [environment[name] for name in names]


def _ways(service: Service, environment: Mapping[str, str]) -> dict[str, Any]:
    """The settings that are the same however the addresses are given.

    NILECARE_LAB_PORT is where the lab listens, if not on its own port.
    NILECARE_OUTSIDE_CARD_PROVIDER becomes `outside["card_provider"]`.
    """
    outside = "NILECARE_OUTSIDE_"
    return {
        "host": environment.get("NILECARE_HOST", "127.0.0.1"),
        "port": _number(environment, f"NILECARE_{service.name.upper()}_PORT"),
        "key_set": environment.get("NILECARE_KEY_SET", ""),
        "journal": environment.get("NILECARE_JOURNAL", "") in {"1", "true", "yes", "on"},
        "outside": {
            name.removeprefix(outside).lower(): value for name, value in environment.items() if name.startswith(outside)
        },
    }


def _number(environment: Mapping[str, str], name: str) -> int | None:
    value = environment.get(name)
    if value and not (value.isdecimal() and int(value) < 65536):
        raise AddressError(f"{name} is {value!r}: use a number from 0 to 65535")
    return int(value) if value else None
