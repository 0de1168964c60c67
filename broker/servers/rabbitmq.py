"""A private RabbitMQ, with the port mapper (epmd) that its Erlang needs."""

from __future__ import annotations

import shutil
import signal
import time
from pathlib import Path
from typing import NamedTuple

import psutil

from broker.servers import processes
from broker.servers.errors import StackError
from broker.servers.home import Home
from broker.servers.plugins import MANAGEMENT, needed
from broker.servers.private import PrivateServer, find_program
from broker.servers.probes import rabbitmq_answers
from broker.servers.servers import QUEUE_IS_KEPT

# Erlang's schedulers are told not to spin while they wait: a test machine has better use for its cores.
_ERLANG = "+sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}"


def find_rabbitmq() -> Path | None:
    """The `rabbitmq-server` script itself: Debian's wrapper in /usr/sbin insists on an account of its own."""
    return find_program("rabbitmq-server", "/usr/lib/rabbitmq/bin", "/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin")


class BrokerPorts(NamedTuple):
    """The four ports that one node listens on."""

    amqp: int
    management: int
    distribution: int
    epmd: int


class PrivateRabbitMQ(PrivateServer):
    """RabbitMQ on ports of its own: AMQP, management, distribution and epmd; one administrator; no `guest`."""

    name = "rabbitmq"
    stop_signal = signal.SIGTERM

    def __init__(self, home: Home, program: Path, *, ports: BrokerPorts, password: str) -> None:
        super().__init__(home)
        self.program = program
        self.ports = ports
        self.password = password
        self._epmd: psutil.Popen | None = None

    def spawn(self) -> psutil.Popen:
        folder = self.home.path("rabbitmq")
        self._configure(folder)
        environment = {**self._environment(folder), **self._plugins(folder)}
        self._start_epmd(folder, environment)
        return processes.spawn([self.program], home=self.home.folder, cwd=folder, log=self.log, environment=environment)

    def answers(self) -> bool:
        """Whether AMQP and management are up; that it is this one says the password, which no other server has."""
        return rabbitmq_answers(self.ports.amqp, f"http://nilecare:{self.password}@127.0.0.1:{self.ports.management}")

    def stop(self) -> None:
        """Shuts down the node, then its port mapper."""
        super().stop()
        self._end_epmd()

    def kill(self) -> None:
        """kill -9 of the node; and of its port mapper, which would remember a dead node for a while.

        Waits a second first, while everything goes on, so that the queues there are now survive.
        """
        if self.running:
            time.sleep(QUEUE_IS_KEPT)
        self.discard()

    def discard(self) -> None:
        """Ends both at once, when nobody will want what they store."""
        super().discard()
        self._end_epmd()

    def _configure(self, folder: Path) -> None:
        (folder / "plugins").write_text(f"[{MANAGEMENT}].\n")
        (folder / "environment").touch()
        (folder / "advanced.config").write_text("[].\n")
        (folder / "rabbitmq.conf").touch(mode=0o600)
        (folder / "rabbitmq.conf").write_text(
            f"""\
listeners.tcp.1 = 127.0.0.1:{self.ports.amqp}
management.tcp.ip = 127.0.0.1
management.tcp.port = {self.ports.management}
default_user = nilecare
default_pass = {self.password}
collect_statistics_interval = 1000
"""
        )

    def _environment(self, folder: Path) -> dict[str, str]:
        """All that keeps the node to its folder and ports, and away from every file of an installed one.

        Its name may be anybody's: names meet in a port mapper, and it has one of its own.
        """
        return {
            "HOME": str(folder),
            "RABBITMQ_NODENAME": "nilecare@localhost",
            "RABBITMQ_CONF_ENV_FILE": str(folder / "environment"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
            "RABBITMQ_CONFIG_FILES": str(folder / "conf.d"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_DIST_PORT": str(self.ports.distribution),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": _ERLANG,
            "ERL_EPMD_PORT": str(self.ports.epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }

    def _plugins(self, folder: Path) -> dict[str, str]:
        """Where the node finds its plugins, when those that it needs are known."""
        plugins = needed(self.program)
        if plugins is None:
            return {}
        found = folder / "installed"
        shutil.rmtree(found, ignore_errors=True)
        found.mkdir()
        for plugin in plugins:
            (found / plugin.name).symlink_to(plugin)
        return {"RABBITMQ_PLUGINS_DIR": str(found)}

    def _start_epmd(self, folder: Path, environment: dict[str, str]) -> None:
        """Started here, in the foreground: left to Erlang it would become a daemon that outlives the node."""
        if self._epmd is not None and self._epmd.poll() is None:
            return
        program = find_program("epmd", "/usr/lib/erlang/erts-*/bin", "/usr/lib64/erlang/erts-*/bin")
        if program is None:
            raise StackError("rabbitmq-server is here but Erlang's epmd is not")
        self._epmd = processes.spawn([program], home=self.home.folder, cwd=folder, log=self.log, environment=environment)

    def _end_epmd(self) -> None:
        if self._epmd is not None:
            processes.kill([self._epmd])
            self._epmd = None
