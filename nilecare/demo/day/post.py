"""The mail that the services send, read as its recipients read it: in the simulated mail server's inbox."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter

import httpx

PATIENCE = 60.0
PAUSE = 0.1

CODE = re.compile(r"your code is ([A-Za-z0-9_-]+)")


class LetterBox:
    """The inbox behind the message gateway's address; `secret` is the gateway's."""

    def __init__(self, client: httpx.AsyncClient, url: str, secret: str) -> None:
        self._client = client
        self._url = url
        self._headers = {"Authorization": f"Bearer {secret}"}

    async def code_for(self, address: str) -> str:
        """The code in the first mail to an address, once it is there. Raises TimeoutError."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for mail in await self._all("mails"):
                found = CODE.search(mail["body"])
                if mail["to"] == address and found:
                    return found[1]
            await asyncio.sleep(PAUSE)
        raise TimeoutError(f"a verification code has not come by mail for {PATIENCE:.0f} seconds")

    async def subjects(self) -> Counter[str]:
        """How many mails there are of each subject."""
        return Counter(mail["subject"] for mail in await self._all("mails"))

    async def texts(self) -> list[str]:
        """What the short messages say."""
        return [message["text"] for message in await self._all("messages")]

    async def _all(self, what: str) -> list[dict[str, str]]:
        reply = await self._client.get(f"{self._url}/{what}", headers=self._headers)
        found: list[dict[str, str]] = reply.raise_for_status().json()
        return found
