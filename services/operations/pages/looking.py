"""Looking: what failed, by reason; the messages of a reason; one message; what people did."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import Depends, Path, Query, Request, Response
from pydantic import AfterValidator, BeforeValidator
from sqlalchemy import select

from broker import NotFound, Reading, Router, clock
from contracts.backbone import FailedState
from contracts.operations import Wanted
from services.operations import looking, overview
from services.operations.pages.asking import NoAnswer, Refusal, ask
from services.operations.pages.sessions import Visitor
from services.operations.pages.writing import page
from services.operations.replicas import FailedMessageReference, FailureActionReference
from services.operations.views import Name, Text

router = Router()

ON_A_PAGE = 50
STATES: tuple[FailedState, ...] = ("dead", "held", "waiting", "retrying")
QUIET = 15
"""Seconds after which the page of the groups is."""

Position = Annotated[int, Path(ge=1, lt=2**62)]

Blank = BeforeValidator(lambda given: given or None)
"""A field of a form that nothing was written in."""

InUTC = AfterValidator(lambda at: at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at)
"""A form's date and time, which knows of no zone."""


@router.get("/dead-letters")
async def groups(who: Visitor, session: Reading, state: FailedState = "dead") -> Response:
    """What failed, by reason, the largest group first; and what is being done about it."""
    found = await looking.groups(session, looking.Sought(state=state), clock.now() - timedelta(hours=1))
    counts = {each: await looking.count(session, looking.Sought(state=each)) for each in STATES}
    running = (await session.scalars(select(FailureActionReference).where(FailureActionReference.state == "running"))).all()
    waiting = (await session.scalars(looking.waiting(clock.now()))).all()
    names = await looking.names(session, (each.asked_by for each in (*running, *waiting)))
    return page(
        "groups.html", who, refresh=QUIET, groups=found, state=state, states=STATES, counts=counts, running=running,
        waiting=waiting, names=names, most_lately=looking.MOST_LATELY,
    )  # fmt: skip


def _sought(
    service: Annotated[Name | None, Blank] = None,
    subscription: Annotated[Name | None, Blank] = None,
    state: Annotated[FailedState | None, Blank] = None,
    type_: Annotated[Text | None, Blank, Query(alias="type")] = None,
    fingerprint: Annotated[Text | None, Blank] = None,
    aggregate: Annotated[Text | None, Blank] = None,
    flow: Annotated[UUID | None, Blank] = None,
    text: Annotated[Text | None, Blank] = None,
    since: Annotated[datetime | None, Blank, InUTC] = None,
    until: Annotated[datetime | None, Blank, InUTC] = None,
) -> looking.Sought:
    return looking.Sought(
        service=service, subscription=subscription, state=state, type=type_, fingerprint=fingerprint, aggregate=aggregate,
        flow=flow, text=text, since=since, until=until,
    )  # fmt: skip


@router.get("/messages")
async def messages(
    who: Visitor,
    session: Reading,
    sought: Annotated[looking.Sought, Depends(_sought)],
    after: Annotated[str, Query(max_length=100)] = "",
) -> Response:
    """The messages that are looked for, the oldest first; and what can be done about all of them."""
    given = asdict(sought)
    asked = {name: value for name, value in given.items() if value is not None}
    last = await session.get(FailedMessageReference, after) if after else None
    if after and last is None:
        raise NotFound
    found = await looking.page(session, sought, last, ON_A_PAGE + 1)
    shown = found[:ON_A_PAGE]
    following = f"/messages?{urlencode(asked | {'after': shown[-1].id})}" if len(found) > ON_A_PAGE else None
    count = await looking.count(session, sought)
    many = f"more than {looking.MOST_COUNTED:,}" if count > looking.MOST_COUNTED and not sought.is_of_kinds else f"{count:,}"
    return page(
        "messages.html", who, messages=shown, following=following, count=count, many=many, given=given, asked=asked,
        states=STATES,
    )  # fmt: skip


@router.get("/messages/{service}/{position}")
async def message(request: Request, service: Name, position: Position, who: Visitor) -> Response:
    """One message in full, as its service shows it: personal data masked."""
    return await show(request, who, service, position)


async def show(request: Request, who: Visitor, service: str, position: int, *, status: int = 200, **said: Any) -> Response:
    """The page of a message; `said` is what else is on it: a trial, a trouble, the revealed body, a refused correction.

    Where its service does not answer, it shows what operations was told of the message.
    """
    nothing = dict.fromkeys(("trial", "trouble", "revealed", "refused"))
    told: dict[str, Any] = {"service": service, "position": position} | nothing | said
    async with request.app.state.database.reading() as session:
        row = await session.get(FailedMessageReference, f"{service}/{position}")
        is_known = row is not None or await overview.is_known(session, service)
    if not is_known:
        raise NotFound
    try:
        answered = await ask(request, who, service, "show", "", Wanted(positions=[position]))
    except (NoAnswer, Refusal) as failure:
        trouble = told["trouble"] or str(failure)
        known = _facts(row) if row is not None and not row.deleted else None
        return page("message.html", who, status=503, **told | {"message": None, "known": known, "trouble": trouble})
    found = answered.answer["messages"]
    past = [each["asked_by"] for message in found for each in message["past"]]
    async with request.app.state.database.reading() as session:
        there = {"message": found[0] if found else None, "known": row, "names": await looking.names(session, past)}
    return page("message.html", who, status=status if found else 404, **told, **there)


def _facts(row: FailedMessageReference) -> dict[str, Any]:
    """What operations was told of a message, by the names under which its service shows it."""
    same = (
        "state", "error", "reason", "fingerprint", "type", "first_failed_at", "last_failed_at", "attempts", "flow",
    )  # fmt: skip
    ours = {"subscription": row.heard_by, "version": row.type_version, "key": row.aggregate}
    return ours | {name: getattr(row, name) for name in same}
