"""Where the demo takes place: its own servers, a platform of its own on them, and a process for each service."""

from __future__ import annotations

import os
import secrets
import shlex
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

from broker import Service
from nilecare.addresses import Platform
from nilecare.demo.worker import Worker
from nilecare.platform import services
from nilecare.stack import Stack
from nilecare.stack.home import CHECKOUT
from nilecare.stack.ports import free_ports
from nilecare.stack.processes import MARK

NAME = "demo"
SIMULATOR = "card provider"


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
    def workers(self) -> dict[str, Worker]:
        """The card provider first, then the services, by name."""
        ports = dict(
            zip((SIMULATOR, *(service.name for service in self.services)), free_ports(1 + len(self.services)), strict=True)
        )
        urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
        secret = secrets.token_hex(16)
        provider = Worker(
            SIMULATOR,
            ("simulator", f"--port={ports[SIMULATOR]}", f"--webhook-url={urls['payment']}/api/v1/webhooks/card"),
            home=self.folder,
            environment={"NILECARE_OUTSIDE_CARD_PROVIDER_SECRET": secret},
            health=f"{urls[SIMULATOR]}/v1/requests/health",
        )
        outside = {"NILECARE_OUTSIDE_CARD_PROVIDER": urls[SIMULATOR], "NILECARE_OUTSIDE_CARD_PROVIDER_SECRET": secret}
        workers = {SIMULATOR: provider}
        for service in self.services:
            name = service.name
            workers[name] = Worker(
                name,
                ("run", name),
                home=self.folder,
                environment={
                    "NILECARE_DATABASE_URL": self.platform.database_url(name),
                    "NILECARE_AMQP_URL": self.platform.service_amqp_url(name),
                    "NILECARE_MANAGEMENT_URL": self.platform.observer_url(),
                    "NILECARE_JOURNAL": "on",
                    f"NILECARE_{name.upper()}_PORT": str(ports[name]),
                    **(outside if service.calls else {}),
                },
                health=f"{urls[name]}/health/messaging",
            )
        return workers

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
        script.write_text(f'#!/bin/sh\n{exports}exec {shlex.quote(sys.executable)} -m nilecare.cli "$@"\n')
        return Path(os.path.relpath(script))
