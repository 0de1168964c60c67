"""The one shape of every background loop: configured at construction, then `start`, `run_once` again and again, `stop`."""

from __future__ import annotations

import asyncio
import contextlib
import traceback
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import structlog

from broker._context import Cause, caused_by, uuid7

log = structlog.get_logger("nilecare.backbone")

TURN = 1.0
"""Seconds that a loop waits for its turn to begin, at most: the loop before it may have much to do."""


def _place(failure: BaseException) -> str:
    """Where it was raised. Its text may hold data, so that only the place is logged."""
    frames = traceback.extract_tb(failure.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"


class Loop(ABC):
    """Runs `run_once` whenever it is woken, at least every `interval` seconds, and at once while there is more to do.

    A failure is logged and followed by a pause that doubles from `interval` up to `longest_pause` seconds; it never ends the
    loop. `stop` lets the round in hand finish.
    """

    longest_pause: float = 30.0

    def __init__(self, name: str, *, interval: float) -> None:
        if interval <= 0:
            raise ValueError(f"{name}: the interval must be above zero seconds, not {interval}")
        self.name = name
        self.interval = interval
        self._woken = asyncio.Event()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @abstractmethod
    async def run_once(self) -> bool:
        """One round. True when there may be more to do at once."""

    async def close(self) -> None:  # noqa: B027 - most loops hold nothing between rounds
        """Gives back what `run_once` holds between rounds (connections); called by `stop`."""

    def wake(self) -> None:
        """Asks for a round now. Cheap, and harmless when one is under way."""
        self._woken.set()

    async def start(self, turns: asyncio.Semaphore | None = None) -> None:
        """Begins; returns at once.

        turns: taken for the first round. Loops that begin together would each open a connection, and keep it in the pool.
        """
        if self._task is None:
            self._stopping.clear()
            self._task = asyncio.create_task(self._run(turns), name=self.name)

    async def stop(self) -> None:
        """Lets the round in hand finish and ends the loop."""
        self._stopping.set()
        self._woken.set()
        if self._task is not None:
            await self._task
            self._task = None
        await self.close()

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called: a long round looks at it and comes to an end."""
        return self._stopping.is_set()

    async def _run(self, turns: asyncio.Semaphore | None) -> None:
        pause = self.interval
        turn: AbstractAsyncContextManager[None] = _turn_of(turns) if turns is not None else contextlib.nullcontext()
        while not self.stopping:
            self._woken.clear()
            try:
                # What a round says by itself belongs together, and to nothing else.
                async with turn:
                    with caused_by(Cause(flow=uuid7())):
                        more = await self.run_once()
                pause = self.interval
            except Exception as failure:
                more = False
                pause = min(pause * 2, self.longest_pause)
                log.warning("loop.failed", loop=self.name, error=type(failure).__name__, at=_place(failure), pause=pause)
            turn = contextlib.nullcontext()
            if not more and not self.stopping:
                await self._pause(pause)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            pass


@contextlib.asynccontextmanager
async def _turn_of(turns: asyncio.Semaphore) -> AsyncIterator[None]:
    has_turn = False
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(TURN):
            has_turn = await turns.acquire()
    try:
        yield
    finally:
        if has_turn:
            turns.release()
