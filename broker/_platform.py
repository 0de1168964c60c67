"""A platform on two servers: which account, database and password each service has there, all derived from one secret."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from broker._service import Service
from broker._settings import Settings
from broker._topology import OBSERVER

PREFIX = "nilecare"


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """The servers, as their administrators reach them."""

    postgres_url: str
    amqp_url: str
    management_url: str
    secret: str
    prefix: str = PREFIX
    """Databases and accounts are named `<prefix>_<service>`: another prefix is another platform on the same servers."""

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

    def settings(self, service: Service, **more: Any) -> Settings:
        """What the service's process must be told: where its servers are, its secrets, and `more`, which wins."""
        settings = Settings(
            database_url=self.database_url(service.name),
            amqp_url=self.service_amqp_url(service.name),
            management_url=self.observer_url(),
        )
        settings = replace(settings, **more)
        return replace(settings, outside=self.secrets_of(service) | settings.outside)

    def secrets_of(self, service: Service) -> dict[str, str]:
        """The service's own secrets, as they follow from the platform's."""
        return {name: self.password(f"{service.name} {name}") for name in service.secrets}

    def _as(self, url: str, account: str, *, path: str | None = None) -> str:
        parts = urlsplit(url)
        where = parts.netloc.rpartition("@")[2]
        who = f"{quote(account, safe='')}:{self.password(account)}"
        return parts._replace(netloc=f"{who}@{where}", path=parts.path if path is None else path).geturl()


def vhost_of(amqp_url: str) -> str:
    """The virtual host that an amqp:// address names."""
    return unquote(urlsplit(amqp_url).path[1:]) or "/"
