"""Servers from a Docker Engine, through testcontainers."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from broker.servers.errors import StackError, Unavailable
from broker.servers.home import Home
from broker.servers.probes import postgres_answers, rabbitmq_answers, wait_until
from broker.servers.servers import MAX_CONNECTIONS, QUEUE_IS_KEPT, Servers

if TYPE_CHECKING:
    from collections.abc import Callable

    from testcontainers.core.container import DockerContainer

POSTGRES_IMAGE = "postgres:17"
RABBITMQ_IMAGE = "rabbitmq:4-management"
LABEL = "nilecare.stack"

_MAKING = Lock()
"""testcontainers makes its reaper with the first container of a process: two at once would make two of one name."""

_PATIENCE = 120.0
_PING_SECONDS = 5


class ContainerServer:
    """One server in a container, on a fixed port of this machine, so that it comes back where it was."""

    def __init__(self, name: str, container: DockerContainer, answers: Callable[[], bool], *, before_kill: float = 0.0) -> None:
        self.name = name
        self.before_kill = before_kill
        self.container = container
        self._answers = answers
        self._made = False

    def start(self) -> None:
        """Makes the container the first time, and starts it again after that; returns when it answers."""
        if self._made:
            self.container.get_wrapped_container().start()
        else:
            self._made = True
            with _MAKING:
                self.container.start()
        wait_until(self._answers, what=self.name, alive=self._alive, seconds=_PATIENCE)

    def stop(self) -> None:
        """Lets it shut down in order."""
        self.container.get_wrapped_container().stop(timeout=60)

    def kill(self) -> None:
        """kill -9 of all its processes, after the seconds that it needs to keep what is there now."""
        if self._alive():
            time.sleep(self.before_kill)
            self.container.get_wrapped_container().kill()

    def pause(self) -> None:
        """Freezes all its processes."""
        self.container.get_wrapped_container().pause()

    def resume(self) -> None:
        """Lets them go on."""
        self.container.get_wrapped_container().unpause()

    def remove(self) -> None:
        """Removes the container with what it stored."""
        if self._made:
            self.container.stop(force=True, delete_volume=True)

    def _alive(self) -> bool:
        container = self.container.get_wrapped_container()
        container.reload()
        return str(container.status) in ("created", "running", "paused")


class Containers:
    """RabbitMQ and PostgreSQL in containers."""

    def __init__(self, home: Home, servers: Servers, *, durable: bool) -> None:
        from testcontainers.core.container import DockerContainer

        self.servers = servers
        database_port, amqp_port, management_port = servers.ports
        label = {LABEL: str(home.folder)}
        postgres = (
            DockerContainer(POSTGRES_IMAGE, labels=label, shm_size="256m")
            .with_env("POSTGRES_PASSWORD", servers.password)
            .with_command(f"postgres -c max_connections={MAX_CONNECTIONS} -c fsync={'on' if durable else 'off'}")
        )
        _publish(postgres, 5432, database_port)
        self.postgres = ContainerServer("postgres", postgres, lambda: postgres_answers(database_port))
        rabbitmq = DockerContainer(RABBITMQ_IMAGE, labels=label, hostname="nilecare").with_envs(
            RABBITMQ_DEFAULT_USER="nilecare", RABBITMQ_DEFAULT_PASS=servers.password
        )
        _publish(rabbitmq, 5672, amqp_port)
        _publish(rabbitmq, 15672, management_port)
        self.rabbitmq = ContainerServer(
            "rabbitmq",
            rabbitmq,
            lambda: rabbitmq_answers(amqp_port, servers.management_url),
            before_kill=QUEUE_IS_KEPT,
        )

    @classmethod
    def start(cls, home: Home, servers: Servers | None = None, *, durable: bool) -> Containers:
        """Starts both, at the addresses in `servers` or at fresh ones.

        Raises Unavailable where there is no engine, or it cannot get the images.
        """
        _ping()
        remove_containers(home.folder)
        containers = cls(home, servers or Servers.fresh(), durable=durable)
        try:
            with ThreadPoolExecutor() as pool:
                for started in [pool.submit(server.start) for server in (containers.postgres, containers.rabbitmq)]:
                    started.result()
        except BaseException as failure:
            containers.close(orderly=False)
            if isinstance(failure, StackError) or not isinstance(failure, Exception):
                raise
            raise Unavailable(f"the Docker Engine did not start the servers: {str(failure).splitlines()[0]}") from failure
        return containers

    def close(self, *, orderly: bool) -> None:
        """Removes both."""
        with ThreadPoolExecutor() as pool:
            for server in (self.postgres, self.rabbitmq):
                pool.submit(server.remove)


def remove_containers(folder: Path) -> int:
    """Removes the containers of every stack whose home lies in this folder, as a run that crashed leaves them; how many."""
    import docker

    client = docker.from_env(timeout=60)
    labelled = client.containers.list(all=True, filters={"label": LABEL})
    left = [container for container in labelled if Path(container.labels[LABEL]).is_relative_to(folder)]
    for container in left:
        container.remove(force=True, v=True)
    client.close()
    return len(left)


def _publish(container: DockerContainer, inside: int, port: int) -> None:
    """Publishes a port to this machine alone. testcontainers' own way opens it to every neighbour."""
    container.ports[f"{inside}/tcp"] = ("127.0.0.1", port)  # type: ignore[assignment]  # what Docker's own library takes


def _ping() -> None:
    try:
        import docker
        import testcontainers.core.container  # noqa: F401 - only whether it is there
    except ImportError as missing:
        raise Unavailable(f"the package {missing.name} is not installed") from None
    try:
        client = docker.from_env(timeout=_PING_SECONDS)
        client.ping()
        address = urlsplit(client.api.base_url)
        client.close()
    except docker.errors.DockerException:
        raise Unavailable("no Docker Engine answers") from None
    if address.scheme.startswith("http") and address.hostname not in ("localhost", "127.0.0.1", "localunixsocket"):
        raise Unavailable(f"the Docker Engine is on another machine, {address.hostname}")
