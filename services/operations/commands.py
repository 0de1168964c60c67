"""Asking a service for something, and taking its answer."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from broker import Principal, clock, publish
from contracts.backbone import OperationAnswered
from contracts.operations import Operation, OperationRequested, OperationWithdrawn, Wanted
from services.operations import rules
from services.operations.tables import OperationRequest


async def ask(
    session: AsyncSession, who: Principal, service: str, operation: Operation, why: str, wanted: Wanted, **more: Any
) -> OperationRequest:
    """Asks a service for something about its failed messages; `more` are other fields of the request.

    Raises OperationNeedsAnotherRole, SayWhy, OneMessageAtATime.
    """
    rules.check_may(operation, who.roles)
    rules.check_why(operation, why)
    rules.check_one(operation, wanted.positions)
    await session.execute(delete(OperationRequest).where(OperationRequest.asked_at < clock.now() - rules.ANSWERS_KEPT))
    asked_at = clock.now()
    request = OperationRequest(
        request_id=uuid4(),
        service=service,
        operation=operation,
        asked_by=who.subject,
        why=why,
        asked_at=asked_at,
        until=rules.good_until(operation, asked_at),
        withdrawn_by=None,
        state="asked",
        refusal=None,
        answer=None,
        sealed=None,
    )
    session.add(request)
    publish(session, OperationRequested.of(request, wanted=wanted, **{**NOTHING_MORE, **more}))
    return request


async def withdraw(session: AsyncSession, who: Principal, request_id: UUID) -> OperationRequest:
    """Takes back what was asked of a service, by whoever may ask for it; the service says whether it had begun.

    Raises NotFound, OperationNeedsAnotherRole, AnsweredAlready.
    """
    request = await OperationRequest.locked(session, request_id)
    rules.check_may(request.operation, who.roles)
    rules.check_waits(request.state)
    request.withdrawn_by = who.subject
    publish(session, OperationWithdrawn.of(request))
    return request


async def take_answer(session: AsyncSession, event: OperationAnswered) -> None:
    """Keeps what a service answered, for a while; an answer that nobody waits for any more is dropped."""
    request = await session.get(OperationRequest, event.request_id, with_for_update=True)
    if request is None or request.service != event.service:
        return
    request.state = "refused" if event.refusal is not None else "answered"
    request.refusal, request.answer, request.sealed = event.refusal, event.answer, event.sealed


async def answer_to(session: AsyncSession, who: Principal, request_id: UUID) -> OperationRequest:
    """A request with its answer, as far as there is one. Raises NotFound, OnlyWhoAskedSeesTheAnswer."""
    request = await OperationRequest.seen(session, request_id)
    rules.check_asker(request.asked_by, who.subject)
    return request


NOTHING_MORE: dict[str, Any] = {
    name: field.get_default(call_default_factory=True)
    for name, field in OperationRequested.model_fields.items()
    if not field.is_required() and name not in ("wanted", "asked_at", "until")
}
