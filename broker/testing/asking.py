"""How tests ask services: who does not know whether a request was carried out asks again, in the same words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

import httpx

from broker._http import FLOW
from broker._tls import authorities
from broker.testing.processes import ServiceProcess

IDEMPOTENCY_KEY = "Idempotency-Key"

TRIES = 3
"""How often a service may end while it is asked."""


class Requests:
    """How many requests were begun in each flow, and how many are answered."""

    def __init__(self) -> None:
        self.begun: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()

    @contextmanager
    def counting(self, flow: str) -> Iterator[None]:
        """Inside, a request of this flow is under way."""
        self.begun[flow] += 1
        try:
            yield
        finally:
            self.ended[flow] += 1


class Persistent(httpx.AsyncBaseTransport):
    """Asks again when the service ended meanwhile and is started again; then its POSTs carry an Idempotency-Key.

    process: that of the service, if it has one of its own. requests: counts them.
    """

    def __init__(self, process: Callable[[], ServiceProcess | None], requests: Requests) -> None:
        self._process, self._requests = process, requests
        self._transport = httpx.AsyncHTTPTransport(verify=authorities())

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        with self._requests.counting(request.headers.get(FLOW, "")):
            return await self._handle(request)

    async def _handle(self, request: httpx.Request) -> httpx.Response:
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
