"""Waiting until the day is so far: what happens in the middle happens in the middle in every run."""

from __future__ import annotations

import asyncio


class Milestones:
    """Told of the day's progress; `reached` waits for it."""

    def __init__(self) -> None:
        self._share = 0.0
        self._moved = asyncio.Condition()

    async def note(self, share: float) -> None:
        """So much of the day is over."""
        async with self._moved:
            self._share = share
            self._moved.notify_all()

    async def reached(self, share: float) -> None:
        """Returns when that share is over."""
        async with self._moved:
            await self._moved.wait_for(lambda: self._share >= share)
