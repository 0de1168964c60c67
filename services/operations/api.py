"""Operations over HTTP: look at what failed anywhere, and ask the service that it failed in for something."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query, Request
from sqlalchemy import select

from broker import Idempotent, Page, PageRequest, Principal, Reading, Router, Transaction, allow_everywhere, clock
from contracts.backbone import FailedState
from services.operations import commands, looking, overview, views
from services.operations.replicas import FailedMessageReference, FailureActionReference
from services.operations.rules import OPERATOR, PRIVACY_OFFICER, VIEWER
from services.operations.tables import OperationRequest

router = Router(tags=["operations"])

Viewer = Annotated[Principal, allow_everywhere(VIEWER, OPERATOR, PRIVACY_OFFICER)]
"""Whoever works for the platform as a whole; what they may ask for is a rule (`rules.MAY`)."""


def _sought(
    service: views.Name | None = None,
    subscription: views.Name | None = None,
    state: FailedState | None = None,
    type_: Annotated[views.Text | None, Query(alias="type")] = None,
    fingerprint: views.Text | None = None,
    aggregate: views.Text | None = None,
    flow: UUID | None = None,
    text: views.Text | None = None,
    since: views.Moment | None = None,
    until: views.Moment | None = None,
) -> looking.Sought:
    return looking.Sought(
        service=service, subscription=subscription, state=state, type=type_, fingerprint=fingerprint, aggregate=aggregate,
        flow=flow, text=text, since=since, until=until,
    )  # fmt: skip


Sought = Annotated[looking.Sought, Depends(_sought)]


@router.get("/services")
async def list_services(request: Request, who: Viewer, session: Reading) -> list[views.ServiceState]:
    """How every service and each of its queues is doing, and what is wrong with it."""
    platform = await overview.look(session, request.app.state.depths)
    return [views.ServiceState.model_validate(service) for service in platform.services]


@router.get("/failed-messages")
async def list_failed_messages(who: Viewer, session: Reading, page: PageRequest, sought: Sought) -> Page[views.FailedMessage]:
    """The failed messages of all services, the oldest first."""
    by = [FailedMessageReference.first_failed_at, FailedMessageReference.id]
    return await page.read(session, looking.messages(sought), by=by, view=views.FailedMessage.model_validate)


@router.get("/failed-messages/groups")
async def group_failed_messages(who: Viewer, session: Reading, sought: Sought) -> list[views.Group]:
    """What failed, by reason, the largest group first."""
    found = await looking.groups(session, sought, clock.now() - timedelta(hours=1))
    return [views.Group.model_validate(group) for group in found]


@router.get("/aggregates")
async def find_aggregates(who: Viewer, session: Reading, number: views.Text) -> list[views.Aggregate]:
    """What an invoice number or a medical record number stands for; ask its owner to `trace` the key, then a flow."""
    return [views.Aggregate.model_validate(found) for found in await looking.called(session, number)]


@router.get("/failure-actions")
async def list_failure_actions(who: Viewer, session: Reading, page: PageRequest) -> Page[views.FailureAction]:
    """What people did about failed messages, the latest first."""
    row = FailureActionReference
    query = select(row).where(~row.deleted)
    return await page.read(session, query, by=[row.began_at.desc(), row.id.desc()], view=views.FailureAction.model_validate)


@router.post("/requests", status_code=202)
async def ask_a_service(asked: views.NewRequest, who: Viewer, session: Transaction, key: Idempotent) -> views.Request:
    """Asks a service to show, try, replay, correct or discard some of its failed messages; the answer comes in a moment.

    A service that is down begins it when it is back, if that is before `until`.
    """
    names = ("canary", "few", "rate", "action_id", "outcome", "after", "body", "to", "reply_key")
    more = {name: getattr(asked, name) for name in names}
    request = await commands.ask(session, who, asked.service, asked.operation, asked.why, asked.messages.wanted(), **more)
    return views.Request.model_validate(request)


@router.get("/requests/{request_id}")
async def read_answer(request_id: UUID, who: Viewer, session: Reading) -> views.Request:
    """What a service answered, for whoever asked; `asked` until then."""
    return views.Request.model_validate(await commands.answer_to(session, who, request_id))


@router.get("/requests")
async def list_waiting_requests(who: Viewer, session: Reading, page: PageRequest) -> Page[views.WaitingRequest]:
    """What services have been asked to do and may still begin, whoever asked, the oldest first."""
    by = [OperationRequest.asked_at, OperationRequest.request_id]
    return await page.read(session, looking.waiting(clock.now()), by=by, view=views.WaitingRequest.model_validate)


@router.post("/requests/{request_id}/withdraw", status_code=202)
async def withdraw_request(request_id: UUID, who: Viewer, session: Transaction) -> views.WaitingRequest:
    """Takes back what a service was asked for; it is done all the same if the service had begun."""
    return views.WaitingRequest.model_validate(await commands.withdraw(session, who, request_id))
