"""What somebody was told, and how they want to be told: for everybody who has an account."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from broker import Page, PageRequest, Reading, Router, Transaction
from services.notification import commands, tables, views
from services.notification.api.access import Anybody, own_id

router = Router(prefix="/me")


@router.get("/notifications")
async def list_own_notifications(who: Anybody, session: Reading, page: PageRequest) -> Page[views.OwnNotification]:
    """What the user was told, the newest first."""
    told = tables.Notification
    query = select(told).where(told.recipient_kind == "user", told.recipient_id == who.user_id)
    by = [told.queued_at.desc(), told.notification_id]
    return await page.read(session, query, by=by, view=views.OwnNotification.model_validate)


@router.post("/notifications/{notification_id}/acknowledge")
async def acknowledge(notification_id: UUID, who: Anybody, session: Transaction) -> views.OwnNotification:
    """Notes that the user has read it; again changes nothing."""
    return views.OwnNotification.model_validate(await commands.acknowledge(session, notification_id, own_id(who)))


@router.get("/preferences")
async def list_own_preferences(who: Anybody, session: Reading, page: PageRequest) -> Page[views.Preference]:
    """What the user said; of every other topic they hear over every channel."""
    said = tables.Preference
    query = select(said).where(said.recipient_kind == "user", said.recipient_id == who.user_id)
    return await page.read(session, query, by=[said.topic, said.channel], view=views.Preference.model_validate)


@router.put("/preferences")
async def set_own_preference(asked: views.NewPreference, who: Anybody, session: Transaction) -> views.Preference:
    """Says whether a topic is wanted over a channel. What goes at once is told all the same."""
    said = await commands.set_preference(session, recipient_kind="user", recipient_id=own_id(who), **dict(asked))
    return views.Preference.model_validate(said)


@router.put("/contact-hours")
async def set_own_contact_hours(asked: views.NewContactHours, who: Anybody, session: Transaction) -> views.ContactHours:
    """Says when the user may be disturbed, and when they want everything together. What goes at once comes at any hour."""
    hours = commands.Hours(**dict(asked))
    said = await commands.set_contact_hours(session, recipient_kind="user", recipient_id=own_id(who), hours=hours)
    return views.ContactHours.model_validate(said)


@router.put("/device")
async def register_device(asked: views.NewDevice, who: Anybody, session: Transaction) -> views.Address:
    """Registers the device to push to; it is not pushed to any more for whoever used it before."""
    return views.Address.model_validate(await commands.register_device(session, user_id=own_id(who), token=asked.token))


@router.get("/devices")
async def list_own_devices(who: Anybody, session: Reading, page: PageRequest) -> Page[views.Address]:
    """The devices that the user registered; the last one that works is pushed to."""
    known = tables.Address
    query = select(known).where(known.recipient_kind == "user", known.recipient_id == who.user_id, known.channel == "push")
    return await page.read(session, query, by=[known.known_since, known.address_id], view=views.Address.model_validate)


@router.delete("/devices/{address_id}", status_code=204)
async def forget_device(address_id: UUID, who: Anybody, session: Transaction) -> None:
    """Pushes to it no more, for who signs out on it or has lost it."""
    await commands.forget_device(session, address_id, user_id=own_id(who))
