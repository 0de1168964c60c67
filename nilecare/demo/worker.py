"""A part of the platform as an operating system process of its own, to be killed and started again."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import httpx
import psutil

from broker.servers import StackError, processes
from broker.servers.home import CHECKOUT

PATIENCE = 180.0
"""Seconds a process may take until it answers."""

LAST_LINES = 8


class Worker:
    """`nilecare <arguments>` in the background. It carries its stack's mark: the stack's end, or `make down`, ends it."""

    def __init__(
        self, name: str, arguments: tuple[str, ...], *, home: Path, environment: Mapping[str, str], health: str | None = None
    ) -> None:
        self.name = name
        self.log = home / f"{name}.log"
        self._command = [sys.executable, "-m", "nilecare.cli", *arguments]
        self._home = home
        self._environment = dict(environment)
        self._health = health
        self._process: psutil.Popen | None = None

    def start(self) -> None:
        """Starts the process; its log goes on where it was."""
        self._process = processes.spawn(
            self._command, home=self._home, cwd=CHECKOUT, log=self.log, environment=self._environment
        )

    async def ready(self) -> None:
        """Returns when it answers. Raises StackError, with the end of its log, when it ended or takes too long."""
        deadline = time.monotonic() + PATIENCE
        async with httpx.AsyncClient(timeout=5) as client:
            while not await self._answers(client):
                if self._process is None or self._process.poll() is not None:
                    raise StackError(f"{self.name} ended; its log ends with:\n{self._tail()}")
                if time.monotonic() > deadline:
                    raise StackError(
                        f"{self.name} does not answer after {PATIENCE:.0f} seconds; its log ends with:\n{self._tail()}"
                    )
                await asyncio.sleep(0.05)

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            processes.kill(processes.family(self._process))
            self._process = None

    def ask_to_stop(self) -> None:
        """SIGTERM: it ends what it has in hand. `kill` afterwards waits for nobody."""
        if self._process is not None:
            processes.send([self._process], signal.SIGTERM)

    def stopped(self) -> bool:
        """Waits until it has ended; whether it did so by itself, without an error."""
        if self._process is None:
            return False
        left = processes.wait([self._process])
        ended = not left and self._process.returncode == 0
        self.kill()
        return ended

    async def _answers(self, client: httpx.AsyncClient) -> bool:
        if self._health is None:
            return True
        try:
            # The simulator answers 401, for it wants a token; a service says 503 until all is well.
            return (await client.get(self._health)).status_code < httpx.codes.INTERNAL_SERVER_ERROR
        except httpx.HTTPError:
            return False

    def _tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-LAST_LINES:]) if self.log.exists() else "(nothing)"
