"""The platform without Docker: private servers, or those of the environment, and the services as background processes."""

from __future__ import annotations

import subprocess
import sys

from broker.servers import processes
from broker.servers.binaries import Binaries
from broker.servers.errors import StackError
from broker.servers.home import CHECKOUT, Home
from nilecare.stack.development import CARD_PROVIDER_PORT, MESSAGE_GATEWAY_PORT, SMTP_PORT, Development

NAME = "up"


class Bare:
    """The services as processes of this machine. They, and servers of ours, outlive the command that started them."""

    def __init__(self, development: Development) -> None:
        self.development = development

    def up(self) -> None:
        """Starts (or restarts) servers and services; what they stored before is still there."""
        home = Home.take(NAME, only=True)
        if self.development.is_new and (home.folder / "postgres").exists():
            raise StackError(
                f"{self.development.file} is gone, and with it the passwords of what lies in {home.folder}: remove that"
            )
        given = self.development.given_servers()
        self.development.choose_ports()
        self.development.use(given or self.development.local_servers)
        self.development.save()
        if given is None:
            Binaries.start(home, self.development.local_servers, durable=True)
        self._provision()
        self._spawn(home, "services", "run", "--all")
        self._spawn_outside(home)
        home.give_back()

    def _spawn_outside(self, home: Home) -> None:
        values, url = self.development.values, self.development.url
        options = {
            "--port": values[CARD_PROVIDER_PORT],
            "--smtp-port": values[SMTP_PORT],
            "--messages-port": values[MESSAGE_GATEWAY_PORT],
            "--webhook-url": f"{url('payment')}/api/v1/webhooks/card",
            "--receipts-url": f"{url('notification')}/api/v1/receipts",
        }
        self._spawn(home, "outside", "simulator", *(word for option in options.items() for word in option))

    def _spawn(self, home: Home, name: str, *arguments: str) -> None:
        processes.spawn(
            [sys.executable, "-m", "nilecare.cli", *arguments],
            home=home.path("services"),
            cwd=CHECKOUT,
            log=home.folder / f"{name}.log",
            environment=self.development.values,
        )

    def _provision(self) -> None:
        command = [sys.executable, "-m", "nilecare.cli", "provision"]
        done = subprocess.run(command, cwd=CHECKOUT, env=self.development.values, capture_output=True, text=True, check=False)
        if done.returncode:
            raise StackError(f"nilecare provision failed: {done.stderr.strip()}")
