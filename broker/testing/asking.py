"""How tests ask services: who does not know whether a request was carried out asks again, in the same words."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import httpx

from broker.testing.processes import ServiceProcess

IDEMPOTENCY_KEY = "Idempotency-Key"

TRIES = 3
"""How often a service may end while it is asked."""


class Persistent(httpx.AsyncBaseTransport):
    """Asks again when the service ended meanwhile and is started again; then its POSTs carry an Idempotency-Key.

    process: that of the service, if it has one of its own.
    """

    def __init__(self, process: Callable[[], ServiceProcess | None]) -> None:
        self._process = process
        self._transport = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST" and self._process() is not None:
            request.headers.setdefault(IDEMPOTENCY_KEY, str(uuid4()))
        for _ in range(TRIES):
            try:
                return await self._transport.handle_async_request(request)
            except httpx.TransportError:
                process = self._process()
                if process is None or not await process.is_back():
                    raise
        return await self._transport.handle_async_request(request)

    async def aclose(self) -> None:
        await self._transport.aclose()
