"""Telling somebody over HTTP: sent again until they say that it arrived."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
"""Seconds between two attempts; they double from the first to the longest."""


class Callbacks:
    """Sends JSON to one address; what is about one thing in the order in which it was given.

    `attempts` counts what was sent, whether or not it was taken; `told`, how many events were given so far. Without an address,
    nobody is told.
    """

    def __init__(self, url: str | None) -> None:
        self.url = url
        self.attempts = 0
        self.told = 0
        self._http = httpx.AsyncClient(timeout=10.0)
        self._last: dict[str, asyncio.Task[None]] = {}
        self._open: set[asyncio.Task[None]] = set()

    @property
    def owing(self) -> list[str]:
        """What was not taken yet, in words."""
        return [task.get_name() for task in self._open]

    def headers(self, body: bytes) -> dict[str, str]:
        """What proves to the other side who sends this."""
        raise NotImplementedError

    def about(self, event: dict[str, Any]) -> str:
        """The thing that an event is about."""
        raise NotImplementedError

    def send(self, event: dict[str, Any], *, times: int = 1) -> asyncio.Task[None]:
        """Starts to send an event; the task ends when it was taken `times` times."""
        about = self.about(event)
        self.told += 1
        task = asyncio.create_task(self._deliver(event, times, self._last.get(about)), name=f"callback about {about}")
        self._last[about] = task
        self._open.add(task)
        task.add_done_callback(self._open.discard)
        return task

    async def idle(self) -> None:
        """Returns when every event given so far was taken."""
        await asyncio.gather(*self._open)

    async def close(self) -> None:
        """Gives up what was not taken yet."""
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        await self._http.aclose()

    async def _deliver(self, event: dict[str, Any], times: int, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        body = json.dumps(event).encode()
        for _ in range(times):
            pause = FIRST_PAUSE
            while not await self._taken(body):
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)

    async def _taken(self, body: bytes) -> bool:
        if self.url is None:
            return True
        self.attempts += 1
        headers = {"Content-Type": "application/json", **self.headers(body)}
        try:
            return (await self._http.post(self.url, content=body, headers=headers)).is_success
        except httpx.HTTPError:
            return False
