"""Telling of what happened: from an event to whom it concerns, each told once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from uuid import UUID, uuid4

import structlog
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from broker import Later, clock, current_cause
from contracts.event import Event
from contracts.notification import RecipientKind
from services.notification.announcements import (
    Announcement,
    Audience,
    Everybody,
    TheAccount,
    ThePatient,
    TheUser,
    announcements_of,
)
from services.notification.commands.dispatching import dispatch
from services.notification.commands.people import surviving_patient
from services.notification.replicas import FacilityReference, InvoiceReference, PatientReference, UserReference
from services.notification.tables import Notification, Subscription
from services.notification.topics import TOPICS

log = structlog.get_logger("nilecare.notification")

Recipient = tuple[RecipientKind, UUID]


async def announce(session: AsyncSession, event: Event, told_at: datetime, *, at_once: bool) -> None:
    """Tells everybody whom an event concerns that was published at `told_at`, unless it is history.

    Raises NotYet while its facility, patient or account is not known here.
    """
    for announcement in announcements_of(event, told_at, at_once=at_once):
        facility_id: UUID | None = getattr(event, "facility_id", None)
        if facility_id is not None:
            await FacilityReference.require(session, facility_id)
        variables = await _variables(session, announcement, event)
        for kind, id_ in await _recipients(session, announcement, event, facility_id):
            await tell(
                session,
                topic=announcement.topic,
                recipient_kind=kind,
                recipient_id=id_,
                facility_id=None if TOPICS[announcement.topic].of_account else facility_id,
                variables=variables,
                fact=announcement.fact(event, current_cause().message),
            )


async def tell(
    session: AsyncSession,
    *,
    topic: str,
    recipient_kind: RecipientKind,
    recipient_id: UUID,
    facility_id: UUID | None,
    variables: Mapping[str, Any],
    fact: str,
) -> Notification:
    """Tells one person of one fact; whoever was told of it under this topic is not told again."""
    key = {"topic": topic, "recipient_kind": recipient_kind, "recipient_id": recipient_id, "fact": fact}
    new = {
        "notification_id": uuid4(),
        "facility_id": facility_id,
        "status": "queued",
        "variables": dict(variables),
        "is_collected": False,
        "flow": current_cause().flow,
        "queued_at": clock.now(),
    }
    queued = await session.scalars(insert(Notification).values(key | new).on_conflict_do_nothing().returning(Notification))
    notification = queued.one_or_none()
    if notification is None:
        return (await session.scalars(select(Notification).filter_by(**key))).one()
    await dispatch(session, notification)
    return notification


async def _recipients(
    session: AsyncSession, announcement: Announcement, event: Event, facility_id: UUID | None
) -> list[Recipient]:
    found: list[Recipient] = []
    for audience in announcement.to:
        found += await _members(session, audience, event, facility_id)
    if facility_id is not None and TOPICS[announcement.topic].staff:
        found += await _followers(session, announcement.topic, facility_id)
        if not found:
            log.warning("notification.nobody_to_tell", topic=announcement.topic, facility=str(facility_id))
    # In one order, as telling somebody holds the lock that their cap is counted under until the end.
    return sorted(set(found))


async def _members(session: AsyncSession, audience: Audience, event: Event, facility_id: UUID | None) -> list[Recipient]:
    match audience:
        case ThePatient():
            patient = await PatientReference.require(session, _named(event, "patient_id"))
            return [("patient", (await surviving_patient(session, patient.id) or patient).id)]
        case TheAccount():
            return [("user", (await UserReference.require(session, _named(event, "user_id"))).id)]
        case TheUser(field):
            user_id = _named(event, field)
            return [] if user_id is None else [("user", user_id)]
        case Everybody(role):
            return await _with_role(session, role, facility_id)


def _named(event: Event, field: str) -> Any:
    return getattr(event, field)


async def _with_role(session: AsyncSession, role: str, facility_id: UUID | None) -> list[Recipient]:
    if facility_id is None:
        return []
    return [("user", id_) for id_ in await UserReference.with_role(session, role, facility_id)]


async def _followers(session: AsyncSession, topic: str, facility_id: UUID) -> list[Recipient]:
    found: list[Recipient] = []
    for each in await session.scalars(select(Subscription).filter_by(topic=topic, facility_id=facility_id)):
        if each.user_id is not None and await UserReference.is_at(session, each.user_id, facility_id):
            found.append(("user", each.user_id))
        if each.role is not None:
            found += await _with_role(session, each.role, facility_id)
    return found


async def _variables(session: AsyncSession, announcement: Announcement, event: Event) -> dict[str, Any]:
    said = {variable: getattr(event, field) for variable, field in announcement.says.items()}
    if isinstance(invoice_id := said.get("invoice_number"), UUID):
        said["invoice_number"] = await _number(session, invoice_id)
    if isinstance(facility_id := said.get("facility"), UUID):
        said["facility"] = (await FacilityReference.require(session, facility_id)).name
    return {variable: _plain(value) for variable, value in said.items() if value is not None}


async def _number(session: AsyncSession, invoice_id: UUID) -> str:
    invoice = await InvoiceReference.require(session, invoice_id)
    if invoice.number is None:
        raise Later("the invoice has a number that has not arrived yet")
    return invoice.number


def _plain(value: object) -> object:
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    return value if isinstance(value, int) else str(value)
