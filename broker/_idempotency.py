"""Idempotency-Key: a request that is sent again has one effect, and gets the reply of the first time.

The key is claimed by a row in the request's own transaction, which also takes the reply before it commits: effect and reply
stand or fall together, and a second request with the key waits for the first one's end. A request that failed leaves nothing
and may be sent again. Source: IETF draft-ietf-httpapi-idempotency-key-header.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, HTTPException, Request, Response, Security
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials
from sqlalchemy import CursorResult, and_, delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from starlette.routing import BaseRoute

from broker._access import Transaction, authenticated, bearer, gates_of
from broker._crash_points import CrashPoint, passing
from broker._fresh import is_fresh_again, served_stale
from broker._loop import Loop
from broker._tables import idempotency
from broker._written import WROTE, wrote
from broker.errors import BackboneError, StaleReplica

KEPT = timedelta(days=3)
"""How long a reply is kept; afterwards its key may be used again."""

REPLAYED = {"Idempotency-Replayed": "true"}

STALE = "X-Stale"
"""Header that names what an answer was made from although it is too old."""

KEPT_HEADERS = (WROTE, STALE)
"""Headers that a reply keeps when it is given again."""


class AlreadyAnswered(BackboneError):
    """The request was answered before; `response` is what was said."""

    def __init__(self, response: Response) -> None:
        self.response = response


class Claim:
    """The row that holds a key within the session of the request."""

    def __init__(self, session: AsyncSession, key: str, principal: str, route: str, fingerprint: bytes) -> None:
        self._session = session
        self._names = {"key": key, "principal": principal, "route": route}
        self._fingerprint = fingerprint

    async def take(self) -> None:
        """Claims the key, once whoever else holds it has ended. Raises AlreadyAnswered, or 422 for another request's key."""
        row = self._names | {"request_hash": self._fingerprint, "status": 0, "body": b"", "created_at": datetime.now(UTC)}
        claimed = await self._session.execute(
            insert(idempotency).values(row).on_conflict_do_nothing().returning(idempotency.c.key)
        )
        if claimed.first() is not None:
            return
        earlier = (await self._session.execute(select(idempotency).where(self._mine))).one()
        if earlier.request_hash != self._fingerprint:
            raise HTTPException(422, "This Idempotency-Key was used for another request.")
        headers = REPLAYED | earlier.headers
        raise AlreadyAnswered(Response(earlier.body or None, earlier.status, headers, media_type="application/json"))

    async def keep(self, response: Response) -> None:
        """Writes the reply, to be committed with its effect."""
        headers = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
        reply = {"status": response.status_code, "body": bytes(response.body), "headers": headers}
        await self._session.execute(update(idempotency).where(self._mine).values(reply))

    @property
    def _mine(self) -> Any:
        return and_(*(idempotency.c[name] == value for name, value in self._names.items()))


async def _once(
    request: Request,
    session: Transaction,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)],
    key: Annotated[
        str | None,
        Header(alias="Idempotency-Key", min_length=1, max_length=255, description="Sent again, it gets the first reply."),
    ] = None,
) -> str | None:
    if key is None:
        return None
    principal = await authenticated(request, credentials)
    for gate in gates_of(request.scope["route"].dependant):
        gate.check(principal)
    asked = f"{request.url.path}?{request.url.query}".encode() + b"\0" + await request.body()
    route = f"{request.method} {request.scope['route'].path}"
    claim = Claim(session, key, principal.subject, route, hashlib.sha256(asked).digest())
    await claim.take()
    request.state.claim = claim
    return key


Idempotent = Annotated[str | None, Depends(_once, scope="function")]
"""Makes a route of a `Router` safe to call again: `key: Idempotent` is the request's Idempotency-Key, None without one."""


Answer = Callable[[Request], Coroutine[Any, Any, Response]]


class _Route(APIRoute):
    """Runs inside the request's transaction, and so can commit the reply with the effect, and say what it wrote."""

    def get_route_handler(self) -> Answer:
        answer = super().get_route_handler()

        async def answer_once(request: Request) -> Response:
            try:
                response = await answer(request)
            except AlreadyAnswered as answered:
                return answered.response
            await _say_more(request, response)
            claim: Claim | None = getattr(request.state, "claim", None)
            if claim is not None:
                await claim.keep(response)
            return response

        return _fresh_enough(answer_once)


def _fresh_enough(answer: Answer) -> Answer:
    """Answers again what met a replica that is too old and may be waited for: in between, nothing of the request is there."""

    async def answer_fresh(request: Request) -> Response:
        state = request.app.state
        until = time.monotonic() + state.patience.total_seconds()
        while True:
            try:
                async with AsyncExitStack() as attempt:
                    request.scope["fastapi_function_astack"] = attempt  # the transaction ends with the attempt
                    return await answer(request)
            except StaleReplica as stale:
                seconds = until - time.monotonic()
                if not stale.waits or seconds <= 0 or not await is_fresh_again(state.database.reading, stale, seconds):
                    raise

    return answer_fresh


async def _say_more(request: Request, response: Response) -> None:
    """What an answer wrote, just before the commit (should that fail, it is not sent), and what it read that is too old."""
    session: AsyncSession | None = getattr(request.state, "session", None)
    if session is not None:
        await session.flush()
        said = {WROTE: wrote(session.sync_session), STALE: served_stale(session)}
        response.headers.update({name: value for name, value in said.items() if value is not None})


class Router(APIRouter):
    """The router of a service's `api.py`: FastAPI's, whose routes know Idempotent and say what they wrote.

    They are built when somebody looks at them: a process that serves one service, or none, knows the routes of all.
    """

    def __init__(self, **options: Any) -> None:
        self._declared: list[Callable[[], None]] = []
        self._is_building = False
        super().__init__(**{"route_class": _Route} | options)

    def add_api_route(self, *arguments: Any, **options: Any) -> None:
        """Notes a route, as FastAPI's decorators ask for it."""
        self._note(partial(super().add_api_route, *arguments, **options))

    def include_router(self, *arguments: Any, **options: Any) -> None:
        """Notes another router's routes."""
        self._note(partial(super().include_router, *arguments, **options))

    def _note(self, build: Callable[[], None]) -> None:
        if self._is_building:
            build()
        else:
            self._declared.append(build)

    @property
    def routes(self) -> list[BaseRoute]:
        """The routes, in the order in which they were declared."""
        if not self._is_building:
            self._is_building = True
            declared, self._declared = self._declared, []
            try:
                for build in declared:
                    build()
            finally:
                self._is_building = False
        return self._routes

    @routes.setter
    def routes(self, routes: list[BaseRoute]) -> None:
        self._routes = routes


def knows_idempotent(route: APIRoute) -> bool:
    """Whether the route does what it must when it asks for Idempotent."""
    asks = any(dependency.call is _once for dependency in route.dependant.dependencies)
    return isinstance(route, _Route) or not asks


class IdempotencyPurge(Loop):
    """Forgets replies older than `KEPT`, some at a time."""

    def __init__(self, engine: AsyncEngine, *, interval: float = 600.0, at_once: int = 10_000) -> None:
        super().__init__("idempotency purge", interval=interval)
        self._engine = engine
        self._at_once = at_once

    async def run_once(self) -> bool:
        columns = (idempotency.c.key, idempotency.c.principal, idempotency.c.route)
        old = select(*columns).where(idempotency.c.created_at < datetime.now(UTC) - KEPT).limit(self._at_once)
        async with self._engine.begin() as connection:
            gone: CursorResult[Any] = await connection.execute(
                delete(idempotency).where(
                    and_(*(column == found for column, found in zip(columns, old.subquery().c, strict=True)))
                )
            )
        if gone.rowcount:
            passing(CrashPoint.HOUSEKEEPING_DONE)
        return gone.rowcount == self._at_once
