"""A part of the platform as an operating system process of its own, to be killed and started again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import httpx

from broker.servers import StackError
from nilecare.demo import nursery

PATIENCE, STOP, ANSWER = 180.0, 30.0, 5.0
"""Seconds a process may take until it answers, until it has ended when it is asked to, and for one answer."""

PAUSE = 0.1
"""Seconds between two questions whether it answers."""

LAST_LINES = 8


class Worker:
    """`nilecare <arguments>` in the background. It carries its stack's mark: the stack's end, or `make down`, ends it."""

    def __init__(
        self, name: str, arguments: tuple[str, ...], *, home: Path, environment: Mapping[str, str], health: str | None = None
    ) -> None:
        self.name = name
        self.log = home / f"{name}.log"
        self._arguments = arguments
        self._home = home
        self._environment = dict(environment)
        self._health = health
        self._process: ForkServerProcess | None = None

    def start(self) -> None:
        """Starts the process; its log goes on where it was."""
        self._process = nursery.start(self._arguments, home=self._home, log=self.log, environment=self._environment)

    async def ready(self, client: httpx.AsyncClient) -> None:
        """Returns when it answers. Raises StackError, with the end of its log, when it ended or takes too long."""
        deadline = time.monotonic() + PATIENCE
        while not await self._answers(client):
            if self._process is None or not self._process.is_alive():
                raise StackError(f"{self.name} ended; its log ends with:\n{self._tail()}")
            if time.monotonic() > deadline:
                raise StackError(
                    f"{self.name} does not answer after {PATIENCE:.0f} seconds; its log ends with:\n{self._tail()}"
                )
            await asyncio.sleep(PAUSE)

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None

    def ask_to_stop(self) -> None:
        """SIGTERM: it ends what it has in hand. `kill` afterwards waits for nobody."""
        if self._process is not None:
            self._process.terminate()

    def stopped(self) -> bool:
        """Waits until it has ended; whether it did so by itself, without an error."""
        if self._process is None:
            return False
        self._process.join(STOP)
        ended = self._process.exitcode == 0
        self.kill()
        return ended

    async def _answers(self, client: httpx.AsyncClient) -> bool:
        if self._health is None:
            return True
        try:
            # The simulator answers 401, for it wants a token; a service says 503 until all is well.
            return (await client.get(self._health, timeout=ANSWER)).status_code < httpx.codes.INTERNAL_SERVER_ERROR
        except httpx.HTTPError:
            return False

    def _tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-LAST_LINES:]) if self.log.exists() else "(nothing)"
