"""What the channels say of a delivery: in the answer to the call, or later in a receipt."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import Cause, caused_by, clock, publish
from contracts.notification import NotificationDelivered, NotificationSent
from services.notification import rules
from services.notification.commands.dispatching import attempts_of, dispatch, put_off, with_carried
from services.notification.tables import Address, Delivery, Notification
from services.notification.topics import TOPICS


async def hear(session: AsyncSession, delivery_id: UUID, verdict: rules.Verdict, code: str) -> None:
    """Takes a notification as far as the channel says it is; what is no news changes nothing."""
    notification = await Notification.locked(session, (await Delivery.seen(session, delivery_id)).notification_id)
    delivery = await Delivery.locked(session, delivery_id)
    if not rules.DELIVERY.allows(delivery.status, verdict):
        return
    delivery.move(verdict)
    delivery.code, delivery.answered_at = code, clock.now()
    match verdict:
        case "sent":
            await _sent(session, notification)
        case "delivered":
            await _delivered(session, notification)
        case "deferred":
            await _again(session, notification, delivery)
        case "bounced":
            await _disable(session, delivery)
            await _elsewhere(session, notification, "bounced", code)
        case "refused":
            await _elsewhere(session, notification, "failed", code)


async def take_receipt(session: AsyncSession, reference: UUID, verdict: rules.Verdict, code: str) -> None:
    """Takes what a channel says later of a message of ours; of one that it does not know, nothing."""
    found = await session.execute(
        select(Delivery.delivery_id, Notification.flow).join(Notification).where(Delivery.call_id == reference)
    )
    known = found.one_or_none()
    if known is not None:
        with caused_by(Cause(flow=known.flow)):
            await hear(session, known.delivery_id, verdict, code)
            await session.flush()


async def _sent(session: AsyncSession, notification: Notification) -> None:
    for each in await with_carried(session, notification):
        each.move("sent")
        each.channel, each.sent_at = notification.channel, clock.now()
        if TOPICS[each.topic].secret:
            each.forget()
        publish(session, NotificationSent.of(each))


async def _delivered(session: AsyncSession, notification: Notification) -> None:
    if notification.status == "rendered":
        await _sent(session, notification)
    for each in await with_carried(session, notification):
        each.move("delivered")
        each.delivered_at = clock.now()
        publish(session, NotificationDelivered.of(each))


async def _again(session: AsyncSession, notification: Notification, delivery: Delivery) -> None:
    """Leaves the channel alone for a while; after the last attempt, there may be another."""
    statuses = [each.status for each in await attempts_of(session, notification) if each.channel == delivery.channel]
    if rules.is_spent(statuses):
        await _elsewhere(session, notification, "failed", delivery.code or "")
        return
    notification.move("failed")
    notification.move("retry")
    notification.reason = delivery.code
    await put_off(session, notification, clock.now() + rules.retry_after(statuses.count("deferred")))


async def _elsewhere(session: AsyncSession, notification: Notification, state: rules.NotificationStatus, code: str) -> None:
    notification.move(state)
    notification.move("retry")
    notification.reason = code
    await dispatch(session, notification)


async def _disable(session: AsyncSession, delivery: Delivery) -> None:
    address = await session.get(Address, delivery.address_id) if delivery.address_id is not None else None
    if address is not None and address.disabled_at is None:
        address.disabled_at, address.disabled_because = clock.now(), delivery.code
