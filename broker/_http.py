"""A service's HTTP side: its API under /api/v1, closed to all without a token, beside its health and its metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any
from uuid import UUID

import structlog
from fastapi import APIRouter, FastAPI, Response
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute, iter_route_contexts
from opentelemetry.trace import SpanKind
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from broker._access import says_who_passes
from broker._context import Cause, caused_by, uuid7
from broker._database import Database
from broker._depth import Depths, no_depths
from broker._health import Health, Messaging
from broker._idempotency import knows_idempotent
from broker._logs import passed
from broker._metrics import Metrics
from broker._problems import Problem, WriteTrouble, documented, for_reader, install, problem
from broker._service import Service
from broker._settings import Settings
from broker._tracing import span
from broker._trust import Trust
from broker._written import copies_of
from broker.errors import DeclarationError

log = structlog.get_logger("nilecare.http")

PREFIX = "/api/v1"

LARGEST_BODY = 1024 * 1024
"""Bytes of a request's body, at most."""

FLOW = "X-Correlation-ID"
"""Header that names the flow a request begins or belongs to; the response always has it."""

SECURITY_HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


def application(
    service: Service,
    settings: Settings,
    database: Database,
    *,
    metrics: Metrics | None = None,
    messaging: Callable[[], Messaging] = Messaging,
    depths: Depths = no_depths,
) -> FastAPI:
    """The application that serves a service's API.

    messaging: what `/health/messaging` tells.
    depths: how pages learn what waits in queues.
    Raises DeclarationError for a route that is open to everybody, or that asks for Idempotent outside a Router.
    """
    app = FastAPI(
        title=f"NileCare {service.name}",
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url=f"{PREFIX}/openapi.json",
        redirect_slashes=False,
    )
    app.state.database = database
    app.state.trust = Trust(settings.key_set, database.engine if service.keeps_trust else None)
    app.state.outside = settings.outside
    app.state.depths = depths
    app.state.copies, app.state.patience = copies_of(service.replicated), settings.replica_patience
    install(app, service.trouble)
    app.add_middleware(Watch, service=service.name, trouble=service.trouble)
    app.router.routes.extend(_routes(service))
    app.include_router(Health(database.engine, service.migrations, messaging).router())
    _add_metrics(app, database, metrics or Metrics())
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]  # FastAPI's documented way to extend the document
    return app


@cache
def _routes(service: Service) -> Sequence[BaseRoute]:
    """The routes of a service's API and pages: checked, and analysed at the first request, once for all applications."""
    router = APIRouter()
    if service.api is not None:
        for route in routes_of(service):
            _check(service, route)
        router.include_router(service.api, prefix=PREFIX, responses=documented(400, 401, 403, 404, 409, 413, 422, 500, 503))
    if service.pages is not None:
        for route in _plain(service, service.pages):
            _check(service, route)
        router.include_router(service.pages, include_in_schema=False)
    return router.routes


def routes_of(service: Service) -> Iterator[APIRoute]:
    """The routes of a service's API. Raises DeclarationError for what is no plain route."""
    if service.api is not None:
        yield from _plain(service, service.api)


def _plain(service: Service, router: APIRouter) -> Iterator[APIRoute]:
    for context in iter_route_contexts(router.routes):
        route = context.original_route
        if not isinstance(route, APIRoute):
            raise DeclarationError(f"{service.name}'s API has a {type(route).__name__}: it may have plain routes only")
        yield route


def _check(service: Service, route: APIRoute) -> None:
    where = f"{service.name}: {'|'.join(sorted(route.methods or ()))} {route.path}"
    if not says_who_passes(route.dependant):
        raise DeclarationError(f"{where} is open to everybody and does not say so: ask for `Annotated[Principal, allow(…)]`")
    if not knows_idempotent(route):
        raise DeclarationError(f"{where} asks for Idempotent: it must stand on a `Router` of broker")


def _add_metrics(app: FastAPI, database: Database, metrics: Metrics) -> None:
    @app.get("/metrics", include_in_schema=False)
    async def exposition() -> Response:
        return Response(await metrics.exposition(database.engine), media_type=CONTENT_TYPE_LATEST)


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, routes=app.routes)
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas["Problem"] = Problem.model_json_schema()
        app.openapi_schema = document
    return app.openapi_schema


class Watch:
    """Gives each request its flow and trace, and answers what nobody foresaw with an id under which the log has the rest."""

    def __init__(self, app: ASGIApp, service: str, trouble: WriteTrouble | None = None) -> None:
        self._app = app
        self._service, self._trouble = service, trouble

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        flow = _flow(headers.get(FLOW))
        with (
            span(self._service, f"HTTP {scope['method']}", headers.get("traceparent"), SpanKind.SERVER) as trace,
            caused_by(Cause(flow=flow, trace=trace)),
        ):
            await self._answer(scope, receive, send, flow)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, flow: UUID) -> None:
        begun = False

        async def say(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                MutableHeaders(scope=message).update({FLOW: str(flow), **SECURITY_HEADERS})
            await send(message)

        try:
            await self._app(scope, _limited(receive), say)
        except Exception as error:
            number = uuid7()
            log.error(
                "http.failed",
                service=self._service,
                error_id=str(number),
                method=scope["method"],
                route=getattr(scope.get("route"), "path", None),
                error=type(error).__name__,
                passed=passed(error),
            )
            if not begun:
                unforeseen = problem(500, type_="urn:nilecare:unforeseen", members={"id": str(number)})
                await for_reader(unforeseen, Headers(scope=scope), self._trouble)(scope, receive, say)


def _limited(receive: Receive) -> Receive:
    """`receive` that refuses to read on beyond the largest body, whatever length the request names."""
    taken = 0

    async def take() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > LARGEST_BODY:
            raise HTTPException(413, f"A request has at most {LARGEST_BODY} bytes.")
        return message

    return take


def _flow(asked: str | None) -> UUID:
    try:
        return UUID(asked) if asked else uuid7()
    except ValueError:
        return uuid7()
