"""Where the demo takes place: its own servers, a platform of its own on them, and a process for each service."""

from __future__ import annotations

import os
import secrets
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

from broker import Service
from broker.servers import Stack
from broker.servers.home import CHECKOUT
from broker.servers.ports import free_ports
from broker.servers.processes import MARK
from nilecare.addresses import Platform
from nilecare.demo.worker import Worker
from nilecare.platform import services

NAME = "demo"
OUTSIDE = "outside"
PASSED_ON = ("OTEL_TRACES_EXPORTER",)
"""Variables that reach the services from who runs the demo."""

CARDS, MAILS, MESSAGES = "cards", "mails", "messages"


@dataclass
class Site:
    """Made once the stack runs. Every service gets the addresses of its own accounts and nothing else."""

    stack: Stack

    @cached_property
    def services(self) -> list[Service]:
        """Every service of the platform."""
        return services()

    @cached_property
    def folder(self) -> Path:
        """Where logs and files of this run are."""
        return Path(self.stack.environment[MARK])

    @cached_property
    def platform(self) -> Platform:
        """Accounts, databases and a virtual host that are named after the demo."""
        servers = self.stack.servers
        return Platform(
            postgres_url=servers.postgres_url,
            amqp_url=urlsplit(servers.amqp_url)._replace(path=f"/{NAME}").geturl(),
            management_url=servers.management_url,
            secret=secrets.token_hex(16),
            prefix=NAME,
        )

    @cached_property
    def _ports(self) -> dict[str, int]:
        names = (CARDS, MAILS, MESSAGES, *(service.name for service in self.services))
        return dict(zip(names, free_ports(len(names)), strict=True))

    @cached_property
    def urls(self) -> dict[str, str]:
        """Where everything listens that speaks HTTP, by name."""
        return {name: f"http://127.0.0.1:{port}" for name, port in self._ports.items() if name != MAILS}

    @cached_property
    def secrets(self) -> dict[str, str]:
        """What services share with the world outside, or with themselves, by the names of their settings."""
        return {name: secrets.token_hex(16) for name in ("card_provider_secret", "message_gateway_secret", "auth_key_secret")}

    @cached_property
    def outside(self) -> dict[str, dict[str, str]]:
        """The settings of the world outside, by service."""
        return {
            "auth": {"auth_key_secret": self.secrets["auth_key_secret"]},
            "notification": {
                "smtp": f"smtp://127.0.0.1:{self._ports[MAILS]}",
                "mail_from": "Nile Bank Hospital <no-reply@nile-bank.example>",
                "message_gateway": self.urls[MESSAGES],
                "message_gateway_secret": self.secrets["message_gateway_secret"],
            },
            "operations": {"auth": self.urls["auth"]},
            "payment": {"card_provider": self.urls[CARDS], "card_provider_secret": self.secrets["card_provider_secret"]},
        }

    @cached_property
    def workers(self) -> dict[str, Worker]:
        """The world outside first, then the services, by name."""
        return {OUTSIDE: self._outside()} | {service.name: self._worker(service) for service in self.services}

    def _outside(self) -> Worker:
        arguments = (
            "simulator",
            f"--port={self._ports[CARDS]}",
            f"--smtp-port={self._ports[MAILS]}",
            f"--messages-port={self._ports[MESSAGES]}",
            f"--webhook-url={self.urls['payment']}/api/v1/webhooks/card",
            f"--receipts-url={self.urls['notification']}/api/v1/receipts",
        )
        shared = {name: self.secrets[name] for name in ("card_provider_secret", "message_gateway_secret")}
        health = f"{self.urls[CARDS]}/v1/requests/health"
        return Worker(OUTSIDE, arguments, home=self.folder, environment=_variables(shared), health=health)

    def _worker(self, service: Service) -> Worker:
        name = service.name
        environment = {
            "NILECARE_DATABASE_URL": self.platform.database_url(name),
            "NILECARE_AMQP_URL": self.platform.service_amqp_url(name),
            "NILECARE_MANAGEMENT_URL": self.platform.observer_url(),
            "NILECARE_JOURNAL": "on",
            **{variable: os.environ[variable] for variable in PASSED_ON if variable in os.environ},
            f"NILECARE_{name.upper()}_PORT": str(self._ports[name]),
            **_variables(self.outside.get(name, {})),
        }
        health = f"{self.urls[name]}/health/messaging"
        return Worker(name, ("run", name), home=self.folder, environment=environment, health=health)

    def write_key(self) -> Path:
        """Writes a script that is the `nilecare` command on this platform; gives its path from the checkout.

        It holds the platform's secret, so that only its owner may read it.
        """
        platform = self.platform
        settings = {
            "NILECARE_POSTGRES_URL": platform.postgres_url,
            "NILECARE_AMQP_URL": platform.amqp_url,
            "NILECARE_MANAGEMENT_URL": platform.management_url,
            "NILECARE_SECRET": platform.secret,
            "NILECARE_PREFIX": platform.prefix,
            "PYTHONPATH": str(CHECKOUT),
        }
        script = self.folder / "nilecare"
        script.unlink(missing_ok=True)
        script.touch(mode=0o700)
        exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in settings.items())
        script.write_text(
            f'#!/bin/sh\n{exports}export NILECARE_CALLED="$0"\nexec {shlex.quote(sys.executable)} -m nilecare.cli "$@"\n'
        )
        return Path(os.path.relpath(script))


def _variables(outside: Mapping[str, str]) -> dict[str, str]:
    """As a process is told them."""
    return {f"NILECARE_OUTSIDE_{name.upper()}": value for name, value in outside.items()}
