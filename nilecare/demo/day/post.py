"""The mail that the services send, read as its recipients read it: in the simulated mail server's inbox."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter

import httpx

PATIENCE = 60.0
PAUSE = 0.1
"""Seconds between two looks."""

CODE = re.compile(r"your code is ([A-Za-z0-9_-]+)")


class LetterBox:
    """The inbox behind the message gateway's address; `secret` is the gateway's."""

    def __init__(self, client: httpx.AsyncClient, url: str, secret: str) -> None:
        self._client = client
        self._url = url
        self._headers = {"Authorization": f"Bearer {secret}"}
        self._look: asyncio.Task[list[dict[str, str]]] | None = None

    async def code_for(self, address: str) -> str:
        """The code in the first mail to an address, once it is there. Raises TimeoutError."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for mail in await self._next_mails():
                found = CODE.search(mail["body"]) if mail["to"] == address else None
                if found:
                    return found[1]
        raise TimeoutError(f"a verification code has not come by mail for {PATIENCE:.0f} seconds")

    async def subjects(self) -> Counter[str]:
        """How many mails there are of each subject."""
        return Counter(mail["subject"] for mail in await self._all("mails"))

    async def texts(self) -> list[str]:
        """What the short messages say."""
        return [message["text"] for message in await self._all("messages")]

    async def _next_mails(self) -> list[dict[str, str]]:
        """All the mails, a pause from now: one look for everybody who waits."""
        if self._look is None or self._look.done():
            self._look = asyncio.create_task(self._mails_after_a_pause())
        return await asyncio.shield(self._look)

    async def _mails_after_a_pause(self) -> list[dict[str, str]]:
        await asyncio.sleep(PAUSE)
        return await self._all("mails")

    async def _all(self, what: str) -> list[dict[str, str]]:
        reply = await self._client.get(f"{self._url}/{what}", headers=self._headers)
        found: list[dict[str, str]] = reply.raise_for_status().json()
        return found
