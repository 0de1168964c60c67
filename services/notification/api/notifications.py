"""What was sent and what became of it, and addresses that stopped working: for those who see to it."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import Idempotent, NotFound, Page, PageRequest, Principal, Reading, Router, Transaction
from services.notification import commands, tables, views
from services.notification.api.access import Manager
from services.notification.replicas import FacilityReference, PatientReference, UserReference
from services.notification.rules import NotificationStatus
from services.notification.topics import TOPICS

router = Router()


@router.get("/topics")
async def list_topics(who: Manager) -> Page[views.Topic]:
    """What people are told of, with the variables that templates may use; all on one page."""
    topics = [
        views.Topic(name=name, variables=sorted(each.variables), channels=list(each.channels), at_once=each.at_once)
        for name, each in TOPICS.items()
    ]
    return Page(items=topics, next=None)


@router.post("/notifications", status_code=201)
async def send(asked: views.NewNotification, who: Manager, session: Transaction, key: Idempotent) -> views.Notification:
    """Tells somebody who belongs to a facility of something there, by hand."""
    await FacilityReference.require(session, who.at(asked.facility_id))
    recipients = PatientReference if asked.recipient_kind == "patient" else UserReference
    if not await recipients.is_at(session, asked.recipient_id, asked.facility_id):
        raise NotFound
    return views.Notification.model_validate(await commands.send(session, **dict(asked)))


@router.get("/notifications")
async def list_notifications(
    who: Manager,
    session: Reading,
    page: PageRequest,
    recipient_id: UUID | None = None,
    topic: str | None = None,
    status: NotificationStatus | None = None,
) -> Page[views.Notification]:
    """What people were told, the newest first; not what it said."""
    told = tables.Notification
    query = select(told).where(who.within(told.facility_id))
    if recipient_id is not None:
        query = query.where(told.recipient_id == recipient_id)
    if topic is not None:
        query = query.where(told.topic == topic)
    if status is not None:
        query = query.where(told.status == status)
    by = [told.queued_at.desc(), told.notification_id]
    return await page.read(session, query, by=by, view=views.Notification.model_validate)


@router.get("/notifications/{notification_id}/deliveries")
async def list_deliveries(notification_id: UUID, who: Manager, session: Reading, page: PageRequest) -> Page[views.Delivery]:
    """Every attempt to send it, in order."""
    _check_visible(who, await tables.Notification.seen(session, notification_id))
    attempt = tables.Delivery
    query = select(attempt).where(attempt.notification_id == notification_id)
    return await page.read(session, query, by=[attempt.attempt], view=views.Delivery.model_validate)


@router.get("/recipients/{recipient_id}/addresses")
async def list_addresses(recipient_id: UUID, who: Manager, session: Reading, page: PageRequest) -> Page[views.Address]:
    """Where somebody was reached: which addresses there are and whether they bounced, without the addresses."""
    await _check_recipient(session, who, recipient_id)
    known = tables.Address
    query = select(known).where(known.recipient_id == recipient_id)
    return await page.read(session, query, by=[known.known_since, known.address_id], view=views.Address.model_validate)


@router.post("/addresses/{address_id}/enable")
async def enable_address(address_id: UUID, who: Manager, session: Transaction) -> views.Address:
    """Uses an address again that bounced."""
    await _check_recipient(session, who, (await tables.Address.seen(session, address_id)).recipient_id)
    return views.Address.model_validate(await commands.enable_address(session, address_id))


def _check_visible(who: Principal, notification: tables.Notification) -> None:
    if notification.facility_id is not None:
        who.at(notification.facility_id)
    elif who.facilities is not None:
        raise NotFound


async def _check_recipient(session: AsyncSession, who: Principal, recipient_id: UUID) -> None:
    """A patient belongs to a facility; users belong to none, and their addresses to who may see every one."""
    patient = await PatientReference.find(session, recipient_id)
    if patient is not None:
        who.at(patient.facility_id)
    elif who.facilities is not None or await UserReference.find(session, recipient_id) is None:
        raise NotFound
