"""The last resort on Debian and Ubuntu: the servers' packages."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from broker.servers.errors import Unavailable

_POLICY = Path("/usr/sbin/policy-rc.d")


def install(packages: Sequence[str]) -> None:
    """Installs packages, after saying so in one line, without starting the services they bring.

    Raises Unavailable where that is not possible.
    """
    if shutil.which("apt-get") is None:
        raise Unavailable(f"no binaries of {' and '.join(packages)} are here, and this is not Debian or Ubuntu")
    become_root = _become_root()
    print(f"Installing {' and '.join(packages)} with apt-get.", file=sys.stderr, flush=True)  # noqa: T201
    with _no_service_starts(become_root):
        for command in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
            apt = [*become_root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", *command]
            done = subprocess.run(apt, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
            if done.returncode:
                last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
                raise Unavailable(f"apt-get {command[0]} failed: {last}")


def _become_root() -> list[str]:
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo"):
        if sys.stdin.isatty() or subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0:
            return ["sudo"]
        raise Unavailable("apt-get needs sudo, which asks for a password here")
    raise Unavailable("apt-get needs root, and there is no sudo")


@contextlib.contextmanager
def _no_service_starts(become_root: Sequence[str]) -> Iterator[None]:
    """Debian's way to say that packages may not start their services: invoke-rc.d asks this script."""
    if _POLICY.exists():
        yield
        return
    subprocess.run(
        [*become_root, "sh", "-c", f"printf '#!/bin/sh\\nexit 101\\n' > {_POLICY} && chmod 755 {_POLICY}"],
        check=False,
    )
    try:
        yield
    finally:
        subprocess.run([*become_root, "rm", "-f", str(_POLICY)], check=False)
