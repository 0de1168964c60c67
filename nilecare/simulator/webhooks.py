"""Telling the merchant: signed webhooks, sent again until somebody says that they arrived."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from typing import Any

import httpx

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
"""Seconds between two attempts; they double from the first to the longest."""


def signed(secret: str, body: bytes, at: int) -> str:
    """The signature header of a body sent at `at`, in unix seconds."""
    signature = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={signature}"


class Webhooks:
    """Sends events to one address; those of one payment in the order in which they were given.

    `attempts` counts what was sent, whether or not it was taken.
    """

    def __init__(self, url: str | None, secret: str) -> None:
        self.url = url
        self.attempts = 0
        self._secret = secret
        self._http = httpx.AsyncClient(timeout=10.0)
        self._last: dict[str, asyncio.Task[None]] = {}
        self._open: set[asyncio.Task[None]] = set()

    def send(self, event: dict[str, Any], *, times: int = 1) -> asyncio.Task[None]:
        """Starts to send an event; the task ends when it was taken `times` times."""
        payment = event["data"]["id"]
        task = asyncio.create_task(self._deliver(event, times, self._last.get(payment)), name=f"webhook {event['id']}")
        self._last[payment] = task
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
        headers = {"Content-Type": "application/json", "Card-Signature": signed(self._secret, body, int(time.time()))}
        self.attempts += 1
        try:
            return (await self._http.post(self.url, content=body, headers=headers)).is_success
        except httpx.HTTPError:
            return False
