"""A server as a process of our own, from a binary of this machine."""

from __future__ import annotations

import shutil
import signal
from abc import ABC, abstractmethod
from pathlib import Path

import psutil

from broker.servers import processes
from broker.servers.errors import StackError
from broker.servers.home import Home
from broker.servers.probes import wait_until


def find_program(name: str, *folders: str) -> Path | None:
    """A program in one of the folders (patterns from the root; the last in order wins) or on the search path."""
    for pattern in folders:
        found = sorted(Path("/").glob(f"{pattern.lstrip('/')}/{name}"), key=_by_version)
        if found:
            return found[-1]
    on_path = shutil.which(name)
    return Path(on_path) if on_path else None


def _by_version(program: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in program.parts if part.isdigit())


class PrivateServer(ABC):
    """Starts, ends and freezes one server whose files lie in the stack's home."""

    name: str
    stop_signal: signal.Signals
    patience = 60.0
    """Seconds a server may take to start or to shut down."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.log = home.folder / f"{self.name}.log"
        self._process: psutil.Popen | None = None

    @abstractmethod
    def spawn(self) -> psutil.Popen:
        """Starts the process."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether it is this very server that answers."""

    @property
    def running(self) -> bool:
        """Whether its process is alive."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Starts it and returns when it answers. Raises StackError, with the end of its log, when it does not."""
        if self.running:
            return
        self._process = self.spawn()
        try:
            wait_until(self.answers, what=self.name, alive=lambda: self.running, seconds=self.patience)
        except StackError as failure:
            self.discard()
            raise StackError(f"{failure}; its log, {self.log}, ends with:\n{_tail(self.log)}") from None

    def stop(self) -> None:
        """Lets it shut down in order."""
        if self._process is None:
            return
        family = processes.family(self._process)
        processes.send(family, signal.SIGCONT)
        processes.send([self._process], self.stop_signal)
        processes.kill(processes.wait(family, self.patience))
        self._process = None

    def kill(self) -> None:
        """kill -9 of all its processes."""
        self.discard()

    def discard(self) -> None:
        """Ends it at once, when nobody will want what it stores."""
        if self._process is not None:
            processes.kill(processes.family(self._process))
            self._process = None

    def pause(self) -> None:
        """Freezes all its processes."""
        if self._process is not None:
            processes.send(processes.family(self._process), signal.SIGSTOP)

    def resume(self) -> None:
        """Lets them go on."""
        if self._process is not None:
            processes.send(processes.family(self._process), signal.SIGCONT)


def _tail(log: Path, lines: int = 15) -> str:
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return "(nothing)"
