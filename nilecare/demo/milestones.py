"""Waiting until the loader is so far: what happens in the middle happens in the middle of the same thing in every run."""

from __future__ import annotations

import asyncio

from nilecare.synthea.report import Progress


class Milestones:
    """Told of the loader's progress; `reached` waits for it."""

    def __init__(self) -> None:
        self._shares: dict[str, float] = {}
        self._moved = asyncio.Event()

    def note(self, progress: Progress) -> None:
        """A step is so far; one that has nothing to do is over."""
        self._shares[progress.step] = progress.done / progress.total if progress.total else 1.0
        self._moved.set()

    async def reached(self, step: str, share: float) -> None:
        """Returns when that share of the step is done."""
        while self._shares.get(step, -1.0) < share:
            self._moved = asyncio.Event() if self._moved.is_set() else self._moved
            await self._moved.wait()
