"""The world outside payment, answered by functions in the same process: no server, no waiting."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import httpx
from sqlalchemy import text

from broker._calls import CallWorkers
from tests.services.kit import Workplace

Answer = Callable[[httpx.Request], httpx.Response]


class Outer:
    """What payment asks for outside, by path; `calls` are the requests that came, but those for a token."""

    def __init__(self, payment: Workplace, settings: Mapping[str, str]) -> None:
        self.payment = payment
        self.calls: list[httpx.Request] = []
        self.answers: dict[str, Answer] = {}
        self.workers = CallWorkers(payment.database, payment.service.calls, settings, first_pause=0)

    @classmethod
    @asynccontextmanager
    async def of(cls, payment: Workplace, settings: Mapping[str, str]) -> AsyncIterator[Outer]:
        """Around payment, for as long as the block lasts."""
        outer = cls(payment, settings)
        async with httpx.AsyncClient(transport=httpx.MockTransport(outer.answer)) as http:
            outer.workers._http = http
            yield outer
            outer.workers._http = None

    def answer(self, request: httpx.Request) -> httpx.Response:
        if "oauth" in request.url.path:
            return httpx.Response(200, json={"access_token": "let-me-in"})
        self.calls.append(request)
        return self.answers[request.url.path](request)

    def will(self, path: str, status: int = 200, /, **body: object) -> None:
        """From now on answers what is asked at `path` so."""
        self.answers[path] = lambda request: httpx.Response(status, json=body)

    def loses(self, path: str) -> None:
        """From now on what is asked at `path` gets no answer."""

        def lose(request: httpx.Request) -> httpx.Response:
            raise httpx.ReadTimeout("lost", request=request)

        self.answers[path] = lose

    async def work(self) -> None:
        """Makes the calls that are due, and those that follow from them."""
        for _ in range(6):
            await self.workers.run_once()
            await self.workers.idle()

    async def everything_kept(self) -> str:
        """All that the database holds of calls, events and replies."""
        tables = ("call", "outbox", "schedule", "idempotency")
        async with self.payment.transaction() as session:
            rows = [(await session.execute(text(f"SELECT t::text FROM backbone.{name} t"))).scalars() for name in tables]
        return "\n".join(row for found in rows for row in found)
