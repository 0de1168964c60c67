"""The folder of one stack: `.local/<name>` of the checkout, held by one process at a time."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import pwd
import shutil
import stat
from itertools import count
from pathlib import Path
from typing import TextIO

import psutil

from broker.servers import processes
from broker.servers.errors import StackError

_INSTALLED = Path(__file__).resolve().parents[2]
CHECKOUT = _INSTALLED if (_INSTALLED / "pyproject.toml").is_file() else Path.cwd()
"""The project at work: this one's checkout, or, where this one is an installed package, the folder a command is called in."""

LOCAL = CHECKOUT / ".local"

# The owner of what is found in these is checked before anything is put there.
_ON_DISK = Path("/var/tmp")  # noqa: S108
_IN_MEMORY = Path("/dev/shm")  # noqa: S108
_ROOM = 6 * 1024**3
"""Bytes that must be free in memory before files that could lie on disk are put there."""


class Home:
    """Everything one stack writes. The lock on it ends with the process, however that ends; the next holder clears up."""

    def __init__(self, name: str, folder: Path, lock: TextIO) -> None:
        self.name = name
        self.folder = folder
        self._lock = lock

    @classmethod
    def take(cls, name: str, *, only: bool = False) -> Home:
        """The first of `name`, `name-2`, `name-3`… that no living process holds; with `only`, the first or StackError.

        What an earlier holder left running in it is ended.
        """
        LOCAL.mkdir(exist_ok=True)
        for number in count(1):
            folder = LOCAL / (name if number == 1 else f"{name}-{number}")
            lock = (LOCAL / f"{folder.name}.lock").open("w")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
                if only:
                    raise StackError(f"somebody else is at work in {folder}") from None
                continue
            home = cls(folder.name, folder, lock)
            home.end_processes(orderly=only)
            folder.mkdir(exist_ok=True)
            return home
        raise AssertionError("unreachable")

    def path(self, name: str) -> Path:
        """A folder in here, made if it is not there."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        return folder

    def path_for(self, user: str | None, name: str, *, lasting: bool) -> Path:
        """A folder that belongs to an account, or to this process's own.

        What need not be `lasting` lies in memory where there is room. Where the account cannot enter the checkout, the folder
        lies under /var/tmp. In both cases it is named after the checkout's path, with a link from here to it. Without that link
        it is a leftover, and emptied.
        """
        account = pwd.getpwnam(user) if user else None
        inside = self.folder / name
        base = _ON_DISK if lasting or not _has_room() else _IN_MEMORY
        if base is _ON_DISK and (account is None or may_enter(self.folder, account)):
            inside.mkdir(exist_ok=True)
        else:
            outside = _outside(base, self.folder) / name
            if not inside.is_symlink():
                shutil.rmtree(outside, ignore_errors=True)
                inside.symlink_to(outside)
            outside.mkdir(exist_ok=True)
        if account is not None:
            os.chown(inside, account.pw_uid, account.pw_gid)
        return inside.resolve()

    def end_processes(self, *, orderly: bool = False) -> int:
        """Ends every process of this stack, whoever started it; how many there were."""
        return processes.end_all(self.folder, orderly=orderly)

    def clear(self) -> None:
        """Removes all of it but the lock."""
        for base in (_ON_DISK, _IN_MEMORY):
            shutil.rmtree(_outside_path(base, self.folder), ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(exist_ok=True)

    def give_back(self) -> None:
        """Lets the next one have it; a folder with nothing in it goes."""
        with contextlib.suppress(OSError):
            self.folder.rmdir()
        self._lock.close()


def may_enter(folder: Path, account: pwd.struct_passwd) -> bool:
    """Whether an account can enter a folder: it and every one above must let it through."""
    return all(_allows(level.stat(), account) for level in (folder, *folder.parents))


def _allows(status: os.stat_result, account: pwd.struct_passwd) -> bool:
    if status.st_uid == account.pw_uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == account.pw_gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def _has_room() -> bool:
    """Whether a server's files may lie in memory."""
    try:
        return min(shutil.disk_usage(_IN_MEMORY).free, psutil.virtual_memory().available) > _ROOM
    except OSError:
        return False


def _outside_path(base: Path, folder: Path) -> Path:
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return base / f"nilecare-{digest}"


def _outside(base: Path, folder: Path) -> Path:
    outside = _outside_path(base, folder)
    outside.mkdir(mode=0o711, exist_ok=True)
    if outside.is_symlink() or outside.stat().st_uid != os.geteuid():
        raise StackError(f"{outside} belongs to somebody else: remove it")
    outside.chmod(0o711)
    return outside
