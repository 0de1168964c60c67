"""The processes of private servers: each carries a mark that says which stack it belongs to, so that none is ever lost.

A mark in the environment is inherited by every process a server starts, and needs no file that a crash leaves stale.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import psutil

from broker.servers.errors import StackError

MARK = "NILECARE_STACK_HOME"
_PATIENCE = 20.0
_ROUNDS = 5


def spawn(
    command: Sequence[str | Path],
    *,
    home: Path,
    cwd: Path,
    log: Path,
    environment: Mapping[str, str] | None = None,
    user: str | None = None,
) -> psutil.Popen:
    """Starts a command in the background, marked with its stack's folder, in a session of its own."""
    with log.open("ab") as output:
        return psutil.Popen(
            [str(part) for part in command],
            cwd=cwd,
            env=marked(environment or {}, home=home),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=user,
            group=user and _group_of(user),
            extra_groups=[] if user else None,
        )


def marked(environment: Mapping[str, str], *, home: Path) -> dict[str, str]:
    """The whole environment of a process, with the mark of its stack's folder.

    Of this process's own it has nothing but the search path: settings of other servers must not reach ours.
    """
    return {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", **environment, MARK: str(home)}


def family(process: psutil.Process) -> list[psutil.Process]:
    """A process with all its descendants."""
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def send(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    """Sends a signal to each that is still there."""
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue


def kill(processes: Sequence[psutil.Process]) -> None:
    """Ends them at once and waits until they are gone."""
    send(processes, signal.SIGKILL)
    wait(processes)


def wait(processes: Iterable[psutil.Process], seconds: float = _PATIENCE) -> list[psutil.Process]:
    """Waits until they have ended; those that have not after so many seconds.

    Nothing is expected of a dead process's parent: one that nobody has reaped has ended all the same.
    """
    deadline = time.monotonic() + seconds
    left = list(processes)
    while left := [process for process in left if _lives(process)]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.01)
    return left


def _lives(process: psutil.Process) -> bool:
    if isinstance(process, psutil.Popen):
        return process.poll() is None
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def end_all(folder: Path, *, orderly: bool = False) -> int:
    """Ends every process whose mark lies in `folder`; how many there were. `orderly` lets them shut down first.

    Raises StackError when one cannot be ended.
    """
    ended: set[int] = set()
    for _ in range(_ROUNDS):
        found = _marked(folder)
        if not found:
            return len(ended)
        ended.update(process.pid for process in found)
        if orderly:
            for process in found:
                # SIGTERM makes PostgreSQL wait for its clients; SIGINT is its orderly shutdown.
                send([process], signal.SIGINT if _name(process) == "postgres" else signal.SIGTERM)
            wait(found)
            orderly = False
        kill(found)
    raise StackError(f"processes of {folder} cannot be ended: {', '.join(str(process.pid) for process in _marked(folder))}")


def _marked(folder: Path) -> list[psutil.Process]:
    """The processes of a stack and their descendants, but not the one that asks."""
    found: set[psutil.Process] = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if process not in found and _belongs(process, folder):
                found.update(family(process))
    return [process for process in found if process.pid != os.getpid() and _lives(process)]


def _belongs(process: psutil.Process, folder: Path) -> bool:
    mark = _mark(process)
    if mark is None and process.name() == "postgres":
        places = (folder, (folder / "postgres").resolve())
        return any(path.is_relative_to(place) for path in _paths(process) for place in places)
    return mark is not None and mark.is_relative_to(folder)


def _mark(process: psutil.Process) -> Path | None:
    """The process's mark. A root that may trace nobody, as in a container, sees none on other accounts' processes."""
    try:
        mark = process.environ().get(MARK)
    except psutil.AccessDenied:
        return None
    return Path(mark) if mark else None


def _paths(process: psutil.Process) -> Iterator[Path]:
    """Where a PostgreSQL works. Its children overwrite their mark with their title, and some have lost their parent."""
    yield from (Path(argument) for argument in process.cmdline() if argument.startswith("/"))
    with contextlib.suppress(psutil.AccessDenied):
        yield Path(process.cwd())


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ""


def _group_of(user: str) -> int:
    return pwd.getpwnam(user).pw_gid
