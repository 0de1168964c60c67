"""Acting: each form asks a service for something, and shows what it answered."""

from __future__ import annotations

import json
from typing import Any, Literal
from urllib.parse import urlencode
from uuid import UUID

from fastapi import Request, Response
from joserfc import jwe
from joserfc.jwk import OKPKey
from pydantic import ValidationError

from broker import Router
from contracts.operations import Wanted
from services.operations.errors import SayWhy
from services.operations.pages.asking import NoAnswer, Refusal, ask
from services.operations.pages.forms import Form
from services.operations.pages.looking import Position, show
from services.operations.pages.sessions import Visitor
from services.operations.pages.writing import go_to, page
from services.operations.rules import check_may, check_why
from services.operations.views import Name

router = Router()

Ending = Literal["replay", "discard"]
Going = Literal["stop", "resume"]

LOOKED_FOR = {name: name for name in ("subscription", "type", "fingerprint", "flow", "text", "since", "until")} | {
    "aggregate": "key"
}
"""What messages were looked for by, besides their service and state; and what services call it."""

MOST = 10_000
"""What a number in a form may be, at most."""


@router.post("/messages/{service}/{position}/try")
async def try_message(request: Request, service: Name, position: Position, who: Visitor) -> Response:
    """What would happen to a message that was replayed now."""
    try:
        answered = await ask(request, who, service, "try", "", Wanted(positions=[position]))
    except (NoAnswer, Refusal) as failure:
        return await show(request, who, service, position, trouble=str(failure))
    trials = answered.answer["trials"]
    return await show(request, who, service, position, trial=trials[0] if trials else None)


@router.post("/messages/{service}/{position}/reveal")
async def reveal_message(request: Request, service: Name, position: Position, who: Visitor, form: Form) -> Response:
    """The body with its personal data, for this page alone; it is written down who saw it, and why."""
    key = OKPKey.generate_key("X25519")
    public = {name: str(value) for name, value in key.as_dict(private=False).items()}
    check_may("reveal", who.roles)
    try:
        check_why("reveal", form.get("why", ""))
        asked = Wanted(positions=[position])
        answered = await ask(request, who, service, "reveal", form.get("why", ""), asked, reply_key=public)
    except (NoAnswer, Refusal, SayWhy) as failure:
        return await show(request, who, service, position, status=409, trouble=str(failure))
    found = json.loads(jwe.decrypt_compact(answered.sealed or "", key).plaintext or b"")["messages"]
    return await show(request, who, service, position, revealed=found[0]["body"] if found else None)


@router.post("/messages/{service}/{position}/edit")
async def edit_message(request: Request, service: Name, position: Position, who: Visitor, form: Form) -> Response:
    """Corrects a message's body; what stays masked stays as it was. What is refused stays in the form as it was written."""
    given = {"body": form.get("body", ""), "why": form.get("why", "")}
    try:
        check_why("edit", given["why"])
        body = json.loads(given["body"])
        await ask(request, who, service, "edit", given["why"], Wanted(positions=[position]), body=body)
    except ValueError:
        return await show(request, who, service, position, status=422, trouble="The new body is not JSON.", refused=given)
    except (NoAnswer, Refusal, SayWhy) as failure:
        return await show(request, who, service, position, status=409, trouble=str(failure), refused=given)
    return go_to(f"/messages/{service}/{position}")


@router.post("/messages/{service}/{position}/{operation}")
async def act_on_message(
    request: Request, service: Name, position: Position, operation: Ending, who: Visitor, form: Form
) -> Response:
    """Replays or discards one message."""
    return await _begin(request, who, service, operation, form, Wanted(positions=[position]))


@router.post("/groups/{operation}")
async def act_on_group(request: Request, operation: Ending, who: Visitor, form: Form) -> Response:
    """Replays or discards all messages that were looked for, of one reason for instance."""
    given = {own: form[name] for name, own in LOOKED_FOR.items() if form.get(name)}
    try:
        wanted = Wanted.model_validate(given | {"states": [form.get("state") or "dead"]})
    except ValidationError as wrong:
        fields = ", ".join(str(error["loc"][0]) for error in wrong.errors())
        return _trouble(who, f"Nothing can be looked for by that: {fields}.", "/messages", 422)
    return await _begin(request, who, form.get("service", ""), operation, form, wanted)


@router.post("/actions/{service}/{action_id}/restore")
async def restore_action(request: Request, service: Name, action_id: UUID, who: Visitor, form: Form) -> Response:
    """Makes what an action discarded dead letters again, in their old places."""
    why = form.get("why", "")
    try:
        check_why("restore", why)
        answered = await ask(request, who, service, "restore", why, Wanted(), action_id=action_id)
    except (NoAnswer, Refusal, SayWhy) as failure:
        return _trouble(who, failure, f"/actions/{action_id}")
    return go_to(f"/actions/{answered.answer['action_id']}")


@router.post("/actions/{service}/{action_id}/{operation}")
async def stop_or_resume(request: Request, service: Name, action_id: UUID, operation: Going, who: Visitor) -> Response:
    """Stops an action after the message in hand, or goes on with it."""
    try:
        await ask(request, who, service, operation, "asked for on its page", Wanted(), action_id=action_id)
    except (NoAnswer, Refusal) as failure:
        return _trouble(who, failure, f"/actions/{action_id}", 503)
    return go_to(f"/actions/{action_id}")


async def _begin(request: Request, who: Visitor, service: str, operation: Ending, form: Form, wanted: Wanted) -> Response:
    pace: dict[str, Any] = {"canary": _number(form, "canary", 1, 1), "few": _number(form, "few", 10, 0)}
    if form.get("rate"):
        pace["rate"] = float(_number(form, "rate", 1, 1))
    try:
        check_why(operation, form.get("why", ""))
        answered = await ask(request, who, service, operation, form.get("why", ""), wanted, **pace)
    except (NoAnswer, Refusal, SayWhy) as failure:
        names = ("service", "state", *LOOKED_FOR)
        looked_for = urlencode({name: form[name] for name in names if form.get(name)})
        back = f"/messages/{service}/{wanted.positions[0]}" if wanted.positions else f"/messages?{looked_for}"
        return _trouble(who, failure, back)
    return go_to(f"/actions/{answered.answer['action_id']}")


def _trouble(who: Visitor, failure: Exception | str, back: str, status: int = 409) -> Response:
    """Why it was not done; what a service has not answered yet may still be."""
    heading = "That is not done yet" if isinstance(failure, NoAnswer) else "That was not done"
    return page("trouble.html", who, status=status, heading=heading, trouble=str(failure), back=back)


def _number(form: Form, name: str, default: int, least: int) -> int:
    given = form.get(name, "")
    return min(max(int(given), least), MOST) if given.isascii() and given.isdigit() and len(given) < 10 else default
