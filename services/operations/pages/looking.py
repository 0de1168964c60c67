"""Looking: what failed, by reason; the messages of a reason; one message; what people did."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import Path, Query, Request, Response
from sqlalchemy import select, tuple_

from broker import NotFound, Reading, Router, clock
from contracts.backbone import FailedState
from contracts.operations import Wanted
from services.operations import looking
from services.operations.pages.asking import NoAnswer, Refusal, ask
from services.operations.pages.sessions import Visitor
from services.operations.pages.writing import page
from services.operations.replicas import FailedMessageReference, FailureActionReference
from services.operations.views import Name, Text

router = Router()

ON_A_PAGE = 50
STATES: tuple[FailedState, ...] = ("dead", "held", "waiting", "retrying")
RUNNING = 1
"""Seconds after which the page of an action that runs is asked for again."""

QUIET = 15
"""Seconds after which the page of the groups is."""

Position = Annotated[int, Path(ge=1, lt=2**62)]


@router.get("/dead-letters")
async def groups(who: Visitor, session: Reading, state: FailedState = "dead") -> Response:
    """What failed, by reason, the largest group first; and what is being done about it."""
    found = await looking.groups(session, looking.Sought(state=state), clock.now() - timedelta(hours=1))
    counts = {each: await looking.count(session, looking.Sought(state=each)) for each in STATES}
    running = await session.scalars(select(FailureActionReference).where(FailureActionReference.state == "running"))
    return page(
        "groups.html", who, refresh=QUIET, groups=found, state=state, states=STATES, counts=counts, running=running.all(),
        most_lately=looking.MOST_LATELY,
    )  # fmt: skip


@router.get("/messages")
async def messages(
    who: Visitor,
    session: Reading,
    service: Name | None = None,
    subscription: Name | None = None,
    state: FailedState | None = None,
    fingerprint: Text | None = None,
    aggregate: Text | None = None,
    flow: UUID | None = None,
    after: Annotated[str, Query(max_length=100)] = "",
) -> Response:
    """The messages of one reason, of a key or of a flow, the oldest first; and what can be done about all of them."""
    sought = looking.Sought(
        service=service, subscription=subscription, state=state, fingerprint=fingerprint, aggregate=aggregate, flow=flow
    )
    given = asdict(sought)
    query = looking.messages(sought).order_by(FailedMessageReference.first_failed_at, FailedMessageReference.id)
    if after:
        last = await session.get(FailedMessageReference, after)
        if last is None:
            raise NotFound
        place = tuple_(FailedMessageReference.first_failed_at, FailedMessageReference.id)
        query = query.where(place > tuple_(last.first_failed_at, last.id))
    found = list(await session.scalars(query.limit(ON_A_PAGE + 1)))
    asked = urlencode({name: str(value) for name, value in given.items() if value is not None})
    shown = found[:ON_A_PAGE]
    following = f"/messages?{asked}&{urlencode({'after': shown[-1].id})}" if len(found) > ON_A_PAGE else None
    count = await looking.count(session, sought)
    return page(
        "messages.html", who, messages=shown, following=following, count=count, group=given if service else None, given=given
    )


@router.get("/messages/{service}/{position}")
async def message(request: Request, service: Name, position: Position, who: Visitor) -> Response:
    """One message in full, as its service shows it: personal data masked."""
    return await show(request, who, service, position)


async def show(request: Request, who: Visitor, service: str, position: int, *, status: int = 200, **said: Any) -> Response:
    """The page of a message; `said` is what else is on it: a trial, a trouble, the revealed body, a refused correction."""
    nothing = dict.fromkeys(("trial", "trouble", "revealed", "refused"))
    told: dict[str, Any] = {"service": service, "position": position} | nothing | said
    try:
        answered = await ask(request, who, service, "show", "", Wanted(positions=[position]))
    except (NoAnswer, Refusal) as failure:
        trouble = told["trouble"] or str(failure)
        return page("message.html", who, status=503, **told | {"message": None, "trouble": trouble})
    found = answered.answer["messages"]
    return page("message.html", who, status=status if found else 404, **told, message=found[0] if found else None)


@router.get("/actions")
async def actions(who: Visitor, session: Reading) -> Response:
    """What people did, the latest first."""
    row = FailureActionReference
    found = await session.scalars(select(row).where(~row.deleted).order_by(row.began_at.desc(), row.id).limit(ON_A_PAGE))
    return page("actions.html", who, actions=found.all())


@router.get("/actions/{action_id}")
async def action(who: Visitor, session: Reading, action_id: UUID) -> Response:
    """One action, as far as it is; while it runs the page comes again by itself."""
    found = await FailureActionReference.find(session, action_id)
    is_running = found is None or found.state == "running"
    return page("action.html", who, refresh=RUNNING if is_running else 0, action=found, action_id=action_id)
