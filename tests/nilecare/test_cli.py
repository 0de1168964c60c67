"""The command: quick to help, one line for what goes wrong."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from nilecare.called import called
from nilecare.cli import COMMANDS
from nilecare.platform import services


def nilecare(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    bare = {name: value for name, value in os.environ.items() if not name.startswith("NILECARE_")}
    command = [sys.executable, "-m", "nilecare.cli", *words]
    return subprocess.run(
        command, capture_output=True, text=True, env=bare | {"NILECARE_AMQP_URL": ""} | environment, timeout=60, check=False
    )


def test_help_imports_nothing_of_ours() -> None:
    """Help names every subcommand without importing one."""
    look = "import sys; from nilecare.cli import group; group(['--help'], standalone_mode=False); "
    look += "print(*(name for name in sys.modules if name.startswith(('broker', 'services', 'fastapi', 'sqlalchemy'))))"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    *shown, imported = done.stdout.splitlines()
    assert imported == ""
    assert all(any(name in line for line in shown) for name in COMMANDS)


def test_a_service_starts_without_what_it_does_not_run() -> None:
    """What migrates databases, and what tries services, takes no time of a start; nor what reads events that never come."""
    look = "import sys; from nilecare.run import services; services(); "
    look += "print(*{'alembic', 'mako', 'hypothesis', 'playwright', 'pytest'} & sys.modules.keys()); "
    look += "from contracts.billing import InvoicePaid; print(InvoicePaid.__pydantic_complete__)"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout == "\nFalse\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_subcommands_are_there(name: str) -> None:
    """Every subcommand is where the table says."""
    module, _, attribute = COMMANDS[name][0].partition(":")
    assert isinstance(getattr(importlib.import_module(module), attribute), click.Command)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nonsense"], "No such command"),
        (["run"], "--all"),
        (["run", "nobody"], "there is no service nobody"),
        (["run", "billing"], "NILECARE_"),
        (["status"], "NILECARE_POSTGRES_URL"),
        (["token"], "--role"),
    ],
)
def test_errors_are_one_line(words: list[str], says: str) -> None:
    """What goes wrong is one line on standard error that says what to do, and status 2."""
    done = nilecare(*words)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("nilecare: ")
    assert says in line
    assert done.stdout == ""


NOWHERE = {
    "NILECARE_POSTGRES_URL": "postgresql://postgres@127.0.0.1:1/postgres",
    "NILECARE_AMQP_URL": "amqp://guest:guest@127.0.0.1:1/",
    "NILECARE_MANAGEMENT_URL": "http://guest:guest@127.0.0.1:1",
    "NILECARE_SECRET": "s",
}


def test_a_server_that_is_not_there() -> None:
    """A server that cannot be reached is one line too."""
    done = nilecare("run", "--all", **NOWHERE)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_status_says_whom_it_asked() -> None:
    """Each service's address, as the environment gives it, and the servers', without passwords; not a port that is none."""
    ports = {f"NILECARE_{service.name.upper()}_PORT": "1" for service in services()}
    done = nilecare("status", **NOWHERE, **ports, NILECARE_HOST="0.0.0.0")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("127.0.0.1:1 ") >= len(ports)
    assert (
        "asked as the environment says: PostgreSQL at 127.0.0.1:1, databases nilecare_…; RabbitMQ's management at"
        in done.stdout
    )
    assert "no service answers there: start them (make up, or nilecare run --all)" in done.stdout
    assert "guest" not in done.stdout
    done = nilecare("status", **NOWHERE, **ports | {"NILECARE_LAB_PORT": "lab"})
    assert (done.returncode, done.stderr) == (2, "nilecare: NILECARE_LAB_PORT is 'lab': use a number from 0 to 65535\n")


def test_hints_say_what_was_typed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By name where the PATH finds this very program, else by its path; by its own name where a script calls it."""
    program, other = tmp_path / "here" / "nilecare", tmp_path / "there" / "nilecare"
    for each in (program, other):
        each.parent.mkdir()
        each.touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(program)])
    for found, says in ((program, "nilecare"), (other, "here/nilecare"), (tmp_path / "nowhere" / "x", "here/nilecare")):
        monkeypatch.setenv("PATH", str(found.parent))
        assert called() == says
    monkeypatch.setattr(sys, "argv", ["/somewhere/cli.py"])
    assert called() == "nilecare"
    monkeypatch.setenv("NILECARE_CALLED", ".local/demo/nilecare")
    assert called() == ".local/demo/nilecare"
