"""Commands at a steady pace, and how long each one's effect took: shared by those whose latency is measured.

    python -m benchmarks.ours.end_to_end RATE SECONDS

With the rate 0, commands follow one another as fast as they can: the capacity. The process prints `began` and `ended` around
the part that counts, then the result as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from uuid import UUID

AT_ONCE = 16
"""Commands under way at once, when they follow one another."""

WARM_SECONDS = 2.0
"""The time before the part that counts."""

LATE = 30.0
"""Seconds that the last effect may take."""


class Pace:
    """Runs `command`, which gives the id of the event that it committed, and is told of effects.

    A command that begins later than it should, because those before it take too long, still counts from its own commit: what is
    measured is the way of its event. Whether the pace was kept is part of the result.
    """

    def __init__(self, command: Callable[[], Awaitable[UUID]], *, rate: float, seconds: float) -> None:
        self._command, self._rate, self._seconds = command, rate, seconds
        self._committed: dict[UUID, float] = {}
        self._effects: dict[UUID, float] = {}
        self._counting = False
        self._changed = asyncio.Event()

    def took_effect(self, id_: UUID) -> None:
        """The effect of an event was committed just now."""
        self._effects[id_] = time.perf_counter()
        self._changed.set()

    async def run(self) -> None:
        """Warms up, measures, prints."""
        await self._commands(WARM_SECONDS)
        self._counting = True
        print("began", flush=True)
        began = time.perf_counter()
        await self._commands(self._seconds)
        async with asyncio.timeout(LATE):
            await self._until_all_took_effect()
        ended = max(self._effects.values())
        print("ended", flush=True)
        latencies = sorted(max(0.0, self._effects[id_] - at) for id_, at in self._committed.items())
        result = {"count": len(latencies), "rate": len(latencies) / (ended - began)}
        result |= {f"p{share}": latencies[min(len(latencies) - 1, len(latencies) * share // 100)] for share in (50, 95, 99)}
        print(json.dumps(result), flush=True)

    async def _until_all_took_effect(self) -> None:
        while not self._committed.keys() <= self._effects.keys():
            self._changed.clear()
            await self._changed.wait()

    async def _commands(self, seconds: float) -> None:
        end = time.perf_counter() + seconds
        if not self._rate:
            await asyncio.gather(*(self._one_after_the_other(end) for _ in range(AT_ONCE)))
            return
        under_way: set[asyncio.Task[None]] = set()
        due = time.perf_counter()
        while due < end:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            under_way.add(task := asyncio.create_task(self._one()))
            task.add_done_callback(under_way.discard)
            due += 1 / self._rate
        await asyncio.gather(*under_way)

    async def _one_after_the_other(self, end: float) -> None:
        while time.perf_counter() < end:
            await self._one()

    async def _one(self) -> None:
        id_ = await self._command()
        if self._counting:
            self._committed[id_] = time.perf_counter()


def asked() -> tuple[float, float]:
    """RATE and SECONDS of the command line."""
    rate, seconds = (float(argument) for argument in sys.argv[1:3])
    return rate, seconds
