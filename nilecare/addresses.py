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

import hashlib
import hmac
import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, unquote, urlsplit

from broker import Service, Settings
from broker._topology import OBSERVER

PREFIX = "nilecare"
ADDRESSES = ("NILECARE_POSTGRES_URL", "NILECARE_DATABASE_URL", "NILECARE_AMQP_URL", "NILECARE_MANAGEMENT_URL")
DEVELOPMENT = Path(__file__).parent.parent / ".local" / ".env"
"""What `make up` decided for this checkout."""


class AddressError(Exception):
    """The environment lacks an address that the command needs, or has an unusable one; the message names the variable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """The servers, as their administrators reach them."""

    postgres_url: str
    amqp_url: str
    management_url: str
    secret: str
    prefix: str = PREFIX
    """Databases and accounts are named `<prefix>_<service>`: another prefix is another platform on the same servers."""

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

    @property
    def vhost(self) -> str:
        """RabbitMQ's virtual host, which belongs to the platform alone."""
        return vhost_of(self.amqp_url)

    def account(self, name: str) -> str:
        """A service's account on both servers, and its database."""
        return f"{self.prefix}_{name}"

    def password(self, account: str) -> str:
        """The account's password: HMAC-SHA256 of its name under the platform's secret, in hexadecimal."""
        return hmac.new(self.secret.encode(), account.encode(), hashlib.sha256).hexdigest()

    def database_url(self, name: str) -> str:
        """The service's database, with the service's own account."""
        account = self.account(name)
        return self._as(self.postgres_url, account, path=f"/{account}")

    def service_amqp_url(self, name: str) -> str:
        """RabbitMQ, with the service's own account."""
        return self._as(self.amqp_url, self.account(name))

    def observer_url(self) -> str:
        """RabbitMQ's management API, with the account that only looks."""
        return self._as(self.management_url, self.account(OBSERVER))

    def settings_for(self, service: Service, environment: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
        """What the service's process must be told; `overrides` win."""
        environment = known() if environment is None else environment
        settings = Settings(
            database_url=self.database_url(service.name),
            amqp_url=self.service_amqp_url(service.name),
            management_url=self.observer_url(),
            **_ways(service, environment),
        )
        settings = replace(settings, **overrides)
        return replace(settings, outside=self.secrets_of(service) | settings.outside)

    def secrets_of(self, service: Service) -> dict[str, str]:
        """The service's own secrets, as they follow from the platform's; the environment may name others."""
        return {name: self.password(f"{service.name} {name}") for name in service.secrets}

    def _as(self, url: str, account: str, *, path: str | None = None) -> str:
        parts = urlsplit(url)
        where = parts.netloc.rpartition("@")[2]
        who = f"{quote(account, safe='')}:{self.password(account)}"
        return parts._replace(netloc=f"{who}@{where}", path=parts.path if path is None else path).geturl()


def settings_for(service: Service, environment: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """The service's settings from the environment, whichever of the two kinds it is; `overrides` win.

    Raises AddressError.
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
    return replace(settings, **overrides)


def known() -> Mapping[str, str]:
    """The environment; where it names no address, not even an empty one, with what `make up` wrote down for this checkout."""
    if any(name in os.environ for name in ADDRESSES) or not DEVELOPMENT.is_file():
        return os.environ
    return read_variables(DEVELOPMENT) | os.environ


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


def vhost_of(amqp_url: str) -> str:
    """The virtual host that an amqp:// address names."""
    return unquote(urlsplit(amqp_url).path[1:]) or "/"


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
