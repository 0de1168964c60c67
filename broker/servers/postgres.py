"""A private PostgreSQL."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path

import psutil

from broker.servers import processes
from broker.servers.errors import StackError
from broker.servers.home import Home
from broker.servers.private import PrivateServer, find_program
from broker.servers.probes import postgres_answers
from broker.servers.servers import MAX_CONNECTIONS

# PostgreSQL refuses to run as root: the first of these accounts that exists runs it then.
_ACCOUNTS = ("postgres", "nobody")


def find_postgres() -> Path | None:
    """The newest `postgres` of this machine, with `initdb` beside it."""
    program = find_program("postgres", "/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin")
    return program if program and program.with_name("initdb").exists() else None


class PrivatePostgres(PrivateServer):
    """PostgreSQL on a port of its own, with one superuser `postgres`.

    `durable=False` leaves out fsync and keeps the files in memory: committed data survives any kill -9, and only a crash of the
    machine could lose it. Right for servers that are thrown away: tests make and drop databases by the thousand, and ext4 looks
    at every file that was removed in the last seconds for each one that it makes.
    """

    name = "postgres"
    stop_signal = signal.SIGINT

    def __init__(self, home: Home, program: Path, *, port: int, password: str, durable: bool) -> None:
        super().__init__(home)
        self.program = program
        self.port = port
        self.password = password
        self.durable = durable
        self.user = _account() if os.geteuid() == 0 else None
        self.data = home.path_for(self.user, "postgres", lasting=durable) / "data"

    def spawn(self) -> psutil.Popen:
        if not self.data.exists():
            self._initialise()
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        settings: dict[str, object] = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "port": self.port,
            "max_connections": MAX_CONNECTIONS,
            "fsync": "on" if self.durable else "off",
            "jit": "off",
            "full_page_writes": "on" if self.durable else "off",
            "autovacuum_naptime": "1min" if self.durable else "10min",
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        return processes.spawn(
            [self.program, "-D", self.data, *options], home=self.home.folder, cwd=self.data, log=self.log, user=self.user
        )

    def answers(self) -> bool:
        """Whether it takes sessions; that it is this one says the file that it writes into its own data directory."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) > 7 and lines[7].strip() == "ready" and lines[3] == str(self.port) and postgres_answers(self.port)

    def _initialise(self) -> None:
        """Makes the data directory, complete or not at all."""
        unfinished = self.data.with_name("unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        secret = self.data.with_name("password")
        secret.touch(mode=0o600)
        secret.write_text(self.password)
        if self.user:
            os.chown(secret, pwd.getpwnam(self.user).pw_uid, -1)
        command: list[str | Path] = [
            self.program.with_name("initdb"),
            "-D",
            unfinished,
            "-U",
            "postgres",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
        ]
        initdb = processes.spawn(
            [*command, "--auth=scram-sha-256", f"--pwfile={secret}", "--no-sync"],
            home=self.home.folder,
            cwd=self.data.parent,
            log=self.log,
            user=self.user,
        )
        try:
            failed = initdb.wait(self.patience) != 0
        except (psutil.TimeoutExpired, subprocess.TimeoutExpired):
            processes.kill(processes.family(initdb))
            failed = True
        secret.unlink()
        if failed:
            raise StackError(f"initdb failed: see {self.log}")
        unfinished.rename(self.data)


def _account() -> str:
    known = {account.pw_name for account in pwd.getpwall()}
    for name in _ACCOUNTS:
        if name in known:
            return name
    raise StackError(f"PostgreSQL does not run as root, and none of the accounts {', '.join(_ACCOUNTS)} exists")
