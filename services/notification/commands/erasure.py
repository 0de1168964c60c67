"""The right to be forgotten: GDPR, article 17."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import NotYet
from services.notification import rules
from services.notification.commands.dispatching import suppress
from services.notification.replicas import UserReference
from services.notification.tables import Address, ContactHours, Notification, Preference, Subscription


async def erase_user(session: AsyncSession, user_id: UUID) -> None:
    """Forgets a user: what they were told, where, and how they wanted it. That something was sent stays, without what.

    Raises NotYet while they could still be told something.
    """
    if (await UserReference.require(session, user_id)).status != "deleted":
        raise NotYet(UserReference, user_id)
    await _forget_notifications(session, user_id)
    for table in (Address, Preference, ContactHours):
        await session.execute(delete(table).where(table.recipient_kind == "user", table.recipient_id == user_id))
    await session.execute(delete(Subscription).where(Subscription.user_id == user_id))


async def _forget_notifications(session: AsyncSession, user_id: UUID) -> None:
    theirs = select(Notification).filter_by(recipient_kind="user", recipient_id=user_id)
    for notification in await session.scalars(theirs.order_by(Notification.notification_id).with_for_update()):
        notification.forget()
        if notification.status in rules.WAITING:
            await suppress(session, notification, "recipient_unknown")
