"""Private servers: nothing that happened to their files, their ports or their processes stops the next start."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import NoReturn

import psutil
import pytest

from broker.servers import Servers, StackError, home, processes
from broker.servers.binaries import Binaries
from broker.servers.home import Home
from broker.servers.ports import free_ports
from broker.servers.postgres import PrivatePostgres, find_postgres
from broker.servers.start import SOURCE

ROOT = Path(__file__).parents[3]

# Starts a stack, says where, and waits to be killed.
RUN = """
import signal
from broker.servers import start_stack
stack = start_stack("crash", own=True).start()
print(stack._home.folder, flush=True)
signal.pause()
"""


@pytest.fixture
def taken() -> Iterator[Home]:
    """A home, cleared at the end."""
    taken = Home.take("private")
    taken.clear()
    yield taken
    taken.end_processes()
    taken.clear()
    taken.give_back()


@pytest.fixture
def postgres(taken: Home) -> PrivatePostgres:
    """A PostgreSQL that has not started yet."""
    program = find_postgres()
    assert program
    return PrivatePostgres(taken, program, port=free_ports(1)[0], password="secret", durable=False)


def test_a_stale_pid_file_is_no_obstacle(postgres: PrivatePostgres) -> None:
    """A pid file that names a living process which is no PostgreSQL does not stop the start."""
    postgres.start()
    postgres.kill()
    (postgres.data / "postmaster.pid").write_text(f"1\n{postgres.data}\n")
    postgres.start()
    assert postgres.running


def test_a_data_directory_left_half_made_is_no_obstacle(postgres: PrivatePostgres) -> None:
    """What an initdb that was killed left is thrown away."""
    unfinished = postgres.data.with_name("unfinished")
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("15\n")
    postgres.start()
    assert postgres.running


def test_a_port_that_somebody_took_is_an_error_with_the_log(postgres: PrivatePostgres) -> None:
    """A server that cannot have its port says so at once, and does not take the other for itself."""
    with socket.create_server(("127.0.0.1", postgres.port)), pytest.raises(StackError, match="could not bind"):
        postgres.start()


def test_a_lost_port_costs_another_try(taken: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ports that are taken between choice and start are replaced by others."""
    chosen = [Servers.fresh(), Servers.fresh()]
    choices = iter(chosen)
    monkeypatch.setattr(Servers, "fresh", lambda: next(choices))
    with socket.create_server(("127.0.0.1", chosen[0].ports[0])):
        started = Binaries.start(taken, durable=False)
    assert started.servers == chosen[1]
    started.close(orderly=True)


def test_nobody_waits_for_the_other_when_one_cannot_start(taken: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is still starting is ended as soon as the other has failed."""
    binaries = Binaries(taken, Path("postgres"), Path("rabbitmq"), Servers.fresh(), durable=False)
    ended, waited_for = Event(), []

    def fail() -> NoReturn:
        raise StackError("it has no port")

    monkeypatch.setattr(binaries.postgres, "start", fail)
    monkeypatch.setattr(binaries.rabbitmq, "start", lambda: waited_for.append(ended.wait(5)))
    monkeypatch.setattr(binaries.rabbitmq, "discard", ended.set)
    with pytest.raises(StackError, match="it has no port"):
        binaries._start_both()
    assert waited_for == [True]


def test_a_server_of_another_account_is_ended_too(postgres: PrivatePostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """A root that may not look into other accounts' processes, as in a container, still finds its PostgreSQL."""

    def refuse(_: psutil.Process) -> NoReturn:
        raise psutil.AccessDenied

    postgres.start()
    monkeypatch.setattr(psutil.Process, "environ", refuse)
    monkeypatch.setattr(psutil.Process, "cwd", refuse)
    assert postgres.home.end_processes(orderly=True) > 1
    assert not postgres.running


def test_a_killed_run_stops_nobody() -> None:
    """The run after one that was killed with -9 has the same home, and nothing of the former is left in it."""
    environment = {**os.environ, SOURCE: "binaries"}
    former = subprocess.Popen([sys.executable, "-c", RUN], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    assert former.stdout
    folder = Path(former.stdout.readline().strip())
    assert folder.is_relative_to(home.LOCAL)
    former.send_signal(signal.SIGKILL)
    former.communicate()
    next_one = Home.take("crash")
    assert next_one.folder == folder
    assert processes.end_all(folder) == 0
    next_one.clear()
    next_one.give_back()
