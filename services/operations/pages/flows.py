"""Flows: what happened after one request, over all services, in order; found by its id or by what it was about."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

from fastapi import Request, Response

from broker import Router
from contracts.operations import Wanted
from services.operations import looking, tracing
from services.operations.pages.asking import NoAnswer, Refusal, ask
from services.operations.pages.drawing import drawn
from services.operations.pages.forms import Form
from services.operations.pages.sessions import Visitor
from services.operations.pages.writing import page

router = Router()

LONGEST = 500
"""Characters of what is looked for."""


@router.get("/flows")
async def flow_form(who: Visitor) -> Response:
    """Where one asks for flows."""
    return page("flows.html", who, of="", about=[], silent=[], key=None)


@router.post("/flows")
async def flows(request: Request, who: Visitor, form: Form) -> Response:
    """The flows that were about an invoice, a patient, or anything else by its id; in no address, which browsers keep."""
    of = form.get("of", "").strip()[:LONGEST]
    async with request.app.state.database.transaction() as session:
        named = [(each.kind, each.owner, each.id) for each in (await looking.called(session, of) if of else [])]
    if (key := looking.id_in(of)) is not None:
        named = [("id", name, key) for name in tracing.publishers()]
    told = await asyncio.gather(*(_trace(request, who, owner, Wanted(key=str(id_))) for _, owner, id_ in named))
    about, silent = [], []
    for (kind, owner, id_), answer in zip(named, told, strict=True):
        if answer is None:
            silent.append(owner)
        elif answer["flows"]:
            about.append({"kind": kind, "owner": owner, "id": id_, "flows": answer["flows"]})
    return page("flows.html", who, of=of, about=about, silent=silent, key=key)


@router.get("/flows/{flow_id}")
async def flow(request: Request, who: Visitor, flow_id: UUID) -> Response:
    """One flow: a diagram, and each event with who heard it, when; and what is still open."""
    names = tracing.publishers()
    told = await asyncio.gather(*(_trace(request, who, name, Wanted(flow=flow_id)) for name in names))
    answers = {name: answer for name, answer in zip(names, told, strict=True) if answer is not None}
    found = tracing.put_together(answers, set(names) - answers.keys())
    return page("flow.html", who, flow=found, flow_id=flow_id, diagram=drawn(found))


async def _trace(request: Request, who: Visitor, service: str, wanted: Wanted) -> dict[str, Any] | None:
    """What a service says; None where it does not answer."""
    try:
        answered = await ask(request, who, service, "trace", "", wanted)
    except (NoAnswer, Refusal):
        return None
    answer: dict[str, Any] = answered.answer
    return answer
