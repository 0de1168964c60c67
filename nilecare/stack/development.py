"""What `make up` decides once per checkout: passwords, the platform's secret, ports, and whether to keep a journal.

It is kept in `.local/.env`, never committed.

Docker Compose reads that file, and so can a shell, to point the `nilecare` command at the running platform.
"""

from __future__ import annotations

import os
import secrets
import shlex
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from broker import Service
from broker._topology import OBSERVER
from broker.servers.home import CHECKOUT
from broker.servers.ports import free_ports, is_free
from broker.servers.servers import Servers
from nilecare.addresses import DEVELOPMENT, Platform, read_variables
from nilecare.token import development_key_set

FILE = DEVELOPMENT
CARD_PROVIDER_PORT = "CARD_PROVIDER_PORT"
SMTP_PORT = "SMTP_PORT"
MESSAGE_GATEWAY_PORT = "MESSAGE_GATEWAY_PORT"
JOURNAL = "NILECARE_JOURNAL"
_OUTSIDE_PORTS = (CARD_PROVIDER_PORT, SMTP_PORT, MESSAGE_GATEWAY_PORT)
_SERVER_PORTS = ("POSTGRES_PORT", "AMQP_PORT", "MANAGEMENT_PORT")


class Development:
    """The settings of this checkout's platform. What the file already says stays; what is missing is made up."""

    def __init__(self, services: Iterable[Service], file: Path = FILE) -> None:
        self.services = list(services)
        self.file = file
        self.is_new = not file.exists()
        self.values = read_variables(file) if file.exists() else {}
        self.values.setdefault("COMPOSE_PROJECT_NAME", f"nilecare-{sha256(bytes(CHECKOUT)).hexdigest()[:8]}")
        for name in ("NILECARE_SECRET", "SERVERS_PASSWORD", "NILECARE_OUTSIDE_CARD_PROVIDER_SECRET"):
            self.values.setdefault(name, secrets.token_hex(16))

    def choose_ports(self, *, keep: bool = False) -> None:
        """Sees to a port for everything that listens: a service's own, else that of last time, else any that is free.

        `keep` leaves what is chosen, because the platform is running there.
        """
        own = {port_variable(service.name): service.port for service in self.services}
        for name in (*_SERVER_PORTS, *_OUTSIDE_PORTS, *own):
            former = int(self.values.get(name, 0))
            if not (keep and former):
                candidates = (own.get(name, 0), former, *free_ports(1))
                self.values[name] = str(next(port for port in candidates if port and is_free(port)))

    def use(self, servers: Servers) -> None:
        """Takes these servers, wherever they are."""
        self.values.update(servers.environment())

    def given_servers(self) -> Servers | None:
        """The servers that the environment names, unless they are those of this file, which a shell has read."""
        given = Servers.given()
        ours = all(name in self.values for name in _SERVER_PORTS) and given == self.local_servers
        return None if ours else given

    @property
    def local_servers(self) -> Servers:
        """The servers on this machine, at the ports chosen."""
        ports = (int(self.values[name]) for name in _SERVER_PORTS)
        return Servers.local(*ports, password=self.values["SERVERS_PASSWORD"])

    def url(self, service: str) -> str:
        """Where the service's API is."""
        return f"http://127.0.0.1:{self.values[port_variable(service)]}"

    def save(self) -> None:
        """Writes the file, readable by its owner alone, with each account's password as it follows from the secret."""
        platform = Platform.from_environment(self.values)
        self.values["NILECARE_KEY_SET"] = development_key_set()
        self.values["NILECARE_OUTSIDE_CARD_PROVIDER"] = f"http://127.0.0.1:{self.values[CARD_PROVIDER_PORT]}"
        self.values["NILECARE_OUTSIDE_AUTH"] = self.url("auth")
        self.values["NILECARE_OUTSIDE_SMTP"] = f"smtp://127.0.0.1:{self.values[SMTP_PORT]}"
        self.values["NILECARE_OUTSIDE_MAIL_FROM"] = "hospital@nile.example"
        self.values["NILECARE_OUTSIDE_MESSAGE_GATEWAY"] = f"http://127.0.0.1:{self.values[MESSAGE_GATEWAY_PORT]}"
        self.values[JOURNAL] = os.environ.get(JOURNAL) or self.values.get(JOURNAL, "on")
        self.values["OBSERVER_PASSWORD"] = platform.password(platform.account(OBSERVER))
        for service in self.services:
            self.values[f"{service.name.upper()}_PASSWORD"] = platform.password(platform.account(service.name))
            for name, secret in platform.secrets_of(service).items():
                self.values[f"NILECARE_OUTSIDE_{name.upper()}"] = secret
        self.file.parent.mkdir(exist_ok=True)
        unfinished = self.file.with_suffix(".unfinished")
        unfinished.unlink(missing_ok=True)
        unfinished.touch(mode=0o600)
        unfinished.write_text("".join(f"{name}={shlex.quote(value)}\n" for name, value in sorted(self.values.items())))
        unfinished.rename(self.file)


def port_variable(service: str) -> str:
    """The variable that gives a service's port on this machine."""
    return f"NILECARE_{service.upper()}_PORT"
