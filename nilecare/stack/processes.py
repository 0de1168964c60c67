"""The processes of private servers: each carries a mark that says which stack it belongs to, so that none is ever lost.

A mark in the environment is inherited by every process a server starts, and needs no file that a crash leaves stale.
"""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import psutil

MARK = "NILECARE_STACK_HOME"
_PATIENCE = 20.0


def spawn(
    command: Sequence[str | Path],
    *,
    home: Path,
    cwd: Path,
    log: Path,
    environment: Mapping[str, str] | None = None,
    user: str | None = None,
) -> psutil.Popen:
    """Starts a command in the background, marked with its stack's folder, in a session of its own.

    It gets nothing of this process's environment but the search path: settings of other servers must not reach ours.
    """
    with log.open("ab") as output:
        return psutil.Popen(
            [str(part) for part in command],
            cwd=cwd,
            env={"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", **(environment or {}), MARK: str(home)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=user,
            group=user and _group_of(user),
            extra_groups=[] if user else None,
        )


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
    """Ends every process whose mark lies in `folder`; how many there were. `orderly` lets them shut down first."""
    ended: set[int] = set()
    while found := list(_marked(folder)):
        ended.update(process.pid for process in found)
        if orderly:
            for process in found:
                # SIGTERM makes PostgreSQL wait for its clients; SIGINT is its orderly shutdown.
                send([process], signal.SIGINT if _name(process) == "postgres" else signal.SIGTERM)
            wait(found)
            orderly = False
        kill(found)
    return len(ended)


def _marked(folder: Path) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and _lives(process) and _belongs(process, folder):
                yield process
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue


def _belongs(process: psutil.Process, folder: Path) -> bool:
    mark = process.environ().get(MARK)
    if mark is None and process.name() == "postgres":
        # PostgreSQL's children overwrite their environment with their title, but all of them work in the data directory.
        mark = process.cwd()
        return any(Path(mark).is_relative_to(place) for place in (folder, (folder / "postgres").resolve()))
    return mark is not None and Path(mark).is_relative_to(folder)


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ""


def _group_of(user: str) -> int:
    return pwd.getpwnam(user).pw_gid
