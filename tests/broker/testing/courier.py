"""A courier: the world outside of the shop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from fastapi import FastAPI, Response

from broker._listener import Listener


class Courier:
    """Fetches parcels. `silent`: it takes what it is asked for, and says nothing."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.owing: Sequence[str] = ()
        self.told = 0
        self._speaks = asyncio.Event()
        self._speaks.set()
        app = FastAPI()
        app.add_api_route("/pickups", self._fetch, methods=["POST"])
        self._listener = Listener(app, "127.0.0.1", 0)

    async def __aenter__(self) -> Self:
        await self._listener.start()
        self.url = f"http://127.0.0.1:{self._listener.port}/pickups"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._listener.stop()

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Inside, nobody gets an answer."""
        self._speaks.clear()
        try:
            yield
        finally:
            self._speaks.set()

    async def _fetch(self, pickup: dict[str, str]) -> Response:
        self.asked.append(pickup["key"])
        await self._speaks.wait()
        return Response(status_code=204)
