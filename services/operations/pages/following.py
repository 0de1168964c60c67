"""Following what people asked for and did: requests that no service has begun, actions, and what became of each message."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import Query, Request, Response
from sqlalchemy import exists, select

from broker import NotFound, Reading, Router, clock
from contracts.operations import Wanted
from services.operations import looking
from services.operations.pages.asking import NoAnswer, Refusal, ask
from services.operations.pages.sessions import Visitor
from services.operations.pages.writing import go_to, page
from services.operations.replicas import FailureActionReference
from services.operations.tables import OperationRequest
from services.operations.views import Text

router = Router()

ON_A_PAGE = 50

SOON = 1
"""Seconds after which the page of what is under way is asked for again."""

Place = Annotated[int, Query(ge=0, lt=2**31)]


@router.get("/actions")
async def actions(who: Visitor, session: Reading) -> Response:
    """What people asked for and no service has begun; and what they did, the latest first."""
    row = FailureActionReference
    latest = select(row).where(~row.deleted).order_by(row.began_at.desc(), row.id).limit(ON_A_PAGE)
    found = (await session.scalars(latest)).all()
    waiting = (await session.scalars(looking.waiting(clock.now()).order_by(OperationRequest.asked_at))).all()
    names = await looking.names(session, (each.asked_by for each in (*found, *waiting)))
    return page("actions.html", who, actions=found, waiting=waiting, names=names)


@router.get("/requests/{request_id}")
async def requested(who: Visitor, session: Reading, request_id: UUID) -> Response:
    """What was asked of a service that has not answered; once it has, the action that came of it, or why none did."""
    asked = await OperationRequest.seen(session, request_id)
    if asked.state == "answered" and "action_id" in (asked.answer or {}):
        return go_to(f"/actions/{asked.answer['action_id']}")
    is_late = asked.until < clock.now()
    is_open = asked.state == "asked" and not is_late
    names = await looking.names(session, (asked.asked_by, asked.withdrawn_by or ""))
    return page("request.html", who, refresh=SOON if is_open else 0, asked=asked, is_late=is_late, names=names)


@router.get("/actions/{action_id}")
async def action(request: Request, who: Visitor, action_id: UUID, outcome: Text | None = None, after: Place = 0) -> Response:
    """One action, as far as it is, and what became of each message; while it runs the page comes again by itself.

    Raises NotFound.
    """
    async with request.app.state.database.reading() as session:
        found = await FailureActionReference.find(session, action_id)
        if found is None and not await _has_begun(session, action_id):
            raise NotFound
        names = await looking.names(session, [found.asked_by] if found is not None else [])
    nothing = dict.fromkeys(("parts", "silent", "following"))
    told: dict[str, Any] = {"action": found, "names": names, "outcome": outcome, **nothing}
    if found is None or (found.state == "running" and outcome is None):
        return page("action.html", who, refresh=SOON, **told)
    try:
        asked = await ask(request, who, found.service, "show", "", Wanted(), action_id=action_id, outcome=outcome, after=after)
    except (NoAnswer, Refusal) as failure:
        return page("action.html", who, **told | {"silent": str(failure)})
    parts = asked.answer["parts"]
    following = _after(action_id, parts[-1]["place"], outcome) if asked.answer["more"] else None
    return page("action.html", who, **told | {"parts": parts, "following": following})


def _after(action_id: UUID, place: int, outcome: str | None) -> str:
    """Where the messages after a place are."""
    asked = {"after": place} | ({"outcome": outcome} if outcome is not None else {})
    return f"/actions/{action_id}?{urlencode(asked)}"


async def _has_begun(session: Reading, action_id: UUID) -> bool:
    """Whether a service said just now that it began it, and not yet how far it is."""
    begun = exists().where(OperationRequest.answer["action_id"].astext == str(action_id))
    return bool(await session.scalar(select(begun)))
