"""Acting: each form asks a service for something, and shows what it answered."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, Literal
from urllib.parse import urlencode
from uuid import UUID

from fastapi import Request, Response
from joserfc import jwe
from joserfc.jwk import OKPKey
from pydantic import ValidationError

from broker import Router
from contracts.operations import Operation, Wanted
from services.operations import commands
from services.operations.errors import AnsweredAlready, SayWhy
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
    except NoAnswer as silence:
        return go_to(f"/requests/{silence.request.request_id}")
    except (Refusal, SayWhy) as failure:
        return await show(request, who, service, position, status=409, trouble=str(failure), refused=given)
    return go_to(f"/messages/{service}/{position}")


@router.post("/messages/{service}/{position}/{operation}")
async def act_on_message(
    request: Request, service: Name, position: Position, operation: Ending, who: Visitor, form: Form
) -> Response:
    """Replays or discards one message."""
    return await _begin(request, who, service, operation, form, Wanted(positions=[position]))


@router.post("/groups/try")
async def try_group(request: Request, who: Visitor, form: Form) -> Response:
    """What would happen to the first of the messages that were looked for, if they were replayed now."""
    back, service = _looked_for(form), form.get("service", "")
    try:
        answered = await ask(request, who, service, "try", "", _wanted(form))
    except ValidationError as wrong:
        return _trouble(who, _unwanted(wrong), "/messages", 422)
    except (NoAnswer, Refusal) as failure:
        return _trouble(who, str(failure), back)
    trials = answered.answer["trials"]
    results = Counter(trial["result"] for trial in trials)
    return page("trials.html", who, service=service, trials=trials, results=results.most_common(), back=back)


@router.post("/groups/{operation}")
async def act_on_group(request: Request, operation: Ending, who: Visitor, form: Form) -> Response:
    """Replays or discards all messages that were looked for, of one reason for instance."""
    try:
        wanted = _wanted(form)
    except ValidationError as wrong:
        return _trouble(who, _unwanted(wrong), "/messages", 422)
    return await _begin(request, who, form.get("service", ""), operation, form, wanted)


@router.post("/actions/{service}/{action_id}/restore")
async def restore_action(request: Request, service: Name, action_id: UUID, who: Visitor, form: Form) -> Response:
    """Makes what an action discarded dead letters again, in their old places."""
    return await _ask(request, who, service, "restore", form, Wanted(), f"/actions/{action_id}", action_id=action_id)


@router.post("/actions/{service}/{action_id}/{operation}")
async def stop_or_resume(request: Request, service: Name, action_id: UUID, operation: Going, who: Visitor) -> Response:
    """Stops an action after the message in hand, or goes on with it."""
    try:
        await ask(request, who, service, operation, "asked for on its page", Wanted(), action_id=action_id)
    except NoAnswer as silence:
        return go_to(f"/requests/{silence.request.request_id}")
    except Refusal as failure:
        return _trouble(who, str(failure), f"/actions/{action_id}")
    return go_to(f"/actions/{action_id}")


@router.post("/requests/{request_id}/withdraw")
async def withdraw_request(request: Request, request_id: UUID, who: Visitor) -> Response:
    """Takes back what a service has not begun."""
    try:
        async with request.app.state.database.transaction() as session:
            await commands.withdraw(session, who, request_id)
    except AnsweredAlready as late:
        return _trouble(who, str(late), f"/requests/{request_id}")
    return go_to(f"/requests/{request_id}")


async def _begin(request: Request, who: Visitor, service: str, operation: Ending, form: Form, wanted: Wanted) -> Response:
    pace: dict[str, Any] = {"canary": _number(form, "canary", 1, 1), "few": _number(form, "few", 10, 0)}
    if form.get("rate"):
        pace["rate"] = float(_number(form, "rate", 1, 1))
    back = f"/messages/{service}/{wanted.positions[0]}" if wanted.positions else _looked_for(form)
    return await _ask(request, who, service, operation, form, wanted, back, **pace)


async def _ask(
    request: Request, who: Visitor, service: str, operation: Operation, form: Form, wanted: Wanted, back: str, **more: Any
) -> Response:
    """Asks for something that is an action then, and goes on to that; to what was asked for where no answer comes."""
    why = form.get("why", "")
    try:
        check_why(operation, why)
        answered = await ask(request, who, service, operation, why, wanted, **more)
    except NoAnswer as silence:
        return go_to(f"/requests/{silence.request.request_id}")
    except (Refusal, SayWhy) as failure:
        return _trouble(who, str(failure), back)
    return go_to(f"/actions/{answered.answer['action_id']}")


def _trouble(who: Visitor, why: str, back: str, status: int = 409) -> Response:
    return page("trouble.html", who, status=status, heading="That was not done", trouble=why, back=back)


def _wanted(form: Form) -> Wanted:
    """What was looked for, as services are told. Raises ValidationError."""
    given = {own: form[name] for name, own in LOOKED_FOR.items() if form.get(name)}
    return Wanted.model_validate(given | {"states": [form.get("state") or "dead"]})


def _unwanted(wrong: ValidationError) -> str:
    fields = ", ".join(str(error["loc"][0]) for error in wrong.errors())
    return f"Nothing can be looked for by that: {fields}."


def _looked_for(form: Form) -> str:
    """The page that it was looked for on."""
    return f"/messages?{urlencode({name: form[name] for name in ('service', 'state', *LOOKED_FOR) if form.get(name)})}"


def _number(form: Form, name: str, default: int, least: int) -> int:
    given = form.get(name, "")
    return min(max(int(given), least), MOST) if given.isascii() and given.isdigit() and len(given) < 10 else default
