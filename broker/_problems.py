"""Every error as a problem document (RFC 9457), with nothing in it that came in with the request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from socket import gaierror
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException

from broker._copied import owner_of
from broker.errors import Later, NotYet, Permanent, ReplicaLag, RuleBroken, StaleReplica

log = structlog.get_logger("nilecare.http")

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = {"Retry-After": "1"}
NOTHING: Mapping[str, Any] = {}

Handler = Callable[[Request, Exception], Awaitable[Response]]

TOLD_AS_THEY_ARE = frozenset(
    {
        "bool_parsing", "bool_type", "date_type", "datetime_type", "dict_type", "decimal_max_digits", "decimal_max_places",
        "decimal_parsing", "decimal_type", "enum", "extra_forbidden", "finite_number", "float_parsing", "float_type",
        "greater_than", "greater_than_equal", "int_from_float", "int_parsing", "int_type", "less_than", "less_than_equal",
        "list_type", "literal_error", "missing", "model_attributes_type", "multiple_of", "string_pattern_mismatch",
        "string_too_long", "string_too_short", "string_type", "timezone_aware", "timezone_naive", "too_long", "too_short",
        "uuid_type",
    }
)  # fmt: skip
"""Pydantic's error types whose message never quotes the input."""


class Problem(BaseModel):
    """A problem document. Broken rules add their facts as members of their own."""

    model_config = ConfigDict(extra="allow")

    type: str = "about:blank"
    title: str
    status: int
    detail: str | None = None


class ProblemResponse(JSONResponse):
    """A problem document as a response."""

    media_type = MEDIA_TYPE

    def __init__(self, content: Mapping[str, Any], status: int, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(content, status, headers)
        self.problem = Problem.model_validate(content)


WriteTrouble = Callable[[Problem], Response]
"""Writes the page that tells a person of a problem."""


def problem(
    status: int,
    title: str | None = None,
    *,
    type_: str = "about:blank",
    detail: str | None = None,
    members: Mapping[str, Any] = NOTHING,
    headers: Mapping[str, str] | None = None,
) -> ProblemResponse:
    """The response for a problem. `members` are what it tells beyond the standard's own, which they cannot replace."""
    content = {**members, "type": type_, "title": title or HTTPStatus(status).phrase, "status": status}
    if detail is not None:
        content["detail"] = detail
    return ProblemResponse(content, status, headers=headers)


def refusal(error: RuleBroken) -> ProblemResponse:
    """The reply that names a broken rule, for a route to return: what its transaction did stays, unlike when it raises."""
    sentence = (type(error).__doc__ or type(error).__name__).strip().splitlines()[0]
    return problem(error.status, sentence, type_=f"urn:nilecare:rule:{type(error).__name__}", members=error.facts)


async def _rule_broken(_: Request, error: RuleBroken) -> ProblemResponse:
    return refusal(error)


async def _permanent(_: Request, error: Permanent) -> ProblemResponse:
    return problem(422, "This can never be done as it is asked.", type_="urn:nilecare:permanent", detail=str(error))


async def _not_yet(_: Request, error: NotYet) -> ProblemResponse:
    return problem(
        409,
        "Something that this refers to has not arrived here yet, or does not exist.",
        type_="urn:nilecare:not-yet",
        headers=RETRY_AFTER,
        members={"waits_for": error.replica.__tablename__},
    )


async def _replica_lag(_: Request, error: ReplicaLag) -> ProblemResponse:
    return problem(
        503,
        "What was written elsewhere has not arrived here yet; try again.",
        type_="urn:nilecare:replica-lag",
        headers=RETRY_AFTER,
        members={"waits_for": error.replica.__tablename__},
    )


async def _stale_replica(_: Request, error: StaleReplica) -> ProblemResponse:
    return problem(
        503,
        "What this is to be decided by is too old here; try again.",
        type_="urn:nilecare:stale-replica",
        headers=RETRY_AFTER,
        members={
            "replica": error.replica.__tablename__,
            "owner": owner_of(error.replica),
            "age_seconds": int(error.age.total_seconds()) if error.age is not None else None,
        },
    )


async def _later(_: Request, __: Exception) -> ProblemResponse:
    return problem(503, "This cannot be done now; try again.", type_="urn:nilecare:later", headers=RETRY_AFTER)


async def _http(_: Request, error: HTTPException) -> ProblemResponse:
    phrase = HTTPStatus(error.status_code).phrase
    detail = error.detail if isinstance(error.detail, str) and error.detail != phrase else None
    return problem(error.status_code, detail=detail, headers=error.headers)


async def _invalid(_: Request, error: RequestValidationError) -> ProblemResponse:
    fields = [
        {
            "field": ".".join(str(part) for part in found["loc"]),
            "error": found["type"],
            "message": found["msg"] if found["type"] in TOLD_AS_THEY_ARE else "This is not valid.",
        }
        for found in error.errors()
    ]
    return problem(422, "The request is not valid.", type_="urn:nilecare:invalid", members={"errors": fields})


async def _database(_: Request, error: DBAPIError) -> ProblemResponse:
    """By SQLSTATE: bad values and lost races are answered, a database that cannot be reached is not our client's fault."""
    state = getattr(error.orig, "sqlstate", None) or ""
    if state.startswith("22"):
        log.warning("http.value_refused", sqlstate=state)
        return problem(422, "A value in the request cannot be stored.", type_="urn:nilecare:invalid")
    if state in {"23505", "23P01"}:
        return problem(409, "Something like this exists already.", type_="urn:nilecare:conflict")
    if state.startswith(("40", "08", "53", "55", "57")) or error.connection_invalidated:
        return await _later(_, error)
    raise error


def for_reader(response: ProblemResponse, headers: Headers, write: WriteTrouble | None) -> Response:
    """The response as whoever asked reads it: a page for a browser, where there are pages. headers: of the request."""
    if write is None or response.status_code < HTTPStatus.BAD_REQUEST or "text/html" not in headers.get("accept", ""):
        return response
    page = write(response.problem)
    if "retry-after" in response.headers:
        page.headers["Retry-After"] = response.headers["retry-after"]
    return page


def install(app: FastAPI, write: WriteTrouble | None = None) -> None:
    """Makes `app` answer every error that it foresees with a problem document, or a page; the rest is for `Watch`."""
    handlers: list[tuple[type[Exception], Callable[..., Awaitable[ProblemResponse]]]] = [
        (RuleBroken, _rule_broken),
        (Permanent, _permanent),
        (NotYet, _not_yet),
        (ReplicaLag, _replica_lag),
        (StaleReplica, _stale_replica),
        (Later, _later),
        (HTTPException, _http),
        (RequestValidationError, _invalid),
        (DBAPIError, _database),
        (PoolTimeout, _later),
        *((lost, _later) for lost in (ConnectionError, TimeoutError, gaierror)),
    ]
    for error, handler in handlers:
        app.add_exception_handler(error, _answering(handler, write))


def _answering(handler: Callable[..., Awaitable[ProblemResponse]], write: WriteTrouble | None) -> Handler:
    async def answer(request: Request, error: Exception) -> Response:
        return for_reader(await handler(request, error), request.headers, write)

    return answer


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """These statuses for OpenAPI's `responses`."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": schema}}} for status in statuses
    }
