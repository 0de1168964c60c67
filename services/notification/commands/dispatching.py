"""Taking a notification as far as it can go now: put off, collected, handed to a channel, or not sent at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import cast
from uuid import UUID
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from broker import call, clock, publish, schedule
from contracts.notification import (
    Channel,
    DigestDue,
    NotificationDue,
    NotificationFailed,
    NotificationSuppressed,
    SuppressionReason,
)
from services.notification import rules
from services.notification.commands.people import Person, addresses_of, contact_hours, unwanted_channels
from services.notification.commands.templates import Chosen, template_for
from services.notification.errors import VariableIsMissing
from services.notification.outside import Mail, ShortMessage, send_mail, send_short_message
from services.notification.rendering import Content, render
from services.notification.replicas import FacilityReference
from services.notification.tables import Address, ContactHours, Delivery, Notification
from services.notification.topics import DIGEST, TOPICS

log = structlog.get_logger("nilecare.notification")

NOT_COUNTED = frozenset(name for name, topic in TOPICS.items() if topic.at_once or name == DIGEST)

ONE_BY_ONE = text("SELECT pg_advisory_xact_lock(hashtextextended('notification cap ' || :recipient, 0))")


async def go_on(session: AsyncSession, notification_id: UUID) -> None:
    """Takes up a notification that waited; one that is on its way, or over, is left alone."""
    notification = await Notification.locked(session, notification_id)
    if notification.status in rules.WAITING:
        await dispatch(session, notification)


async def dispatch(session: AsyncSession, notification: Notification) -> None:
    """Takes a waiting notification, which the transaction holds, as far as it can go now."""
    person = await Person.of(session, notification.recipient_kind, notification.recipient_id)
    if person is None:
        await suppress(session, notification, "recipient_unknown")
    elif (reason := _why_not_told(notification, person) or await _take_out(session, notification, person)) is not None:
        await suppress(session, notification, reason)
    else:
        await _choose_channel(session, notification, person)


async def goes_by_mail(session: AsyncSession, notification: Notification, person: Person) -> bool:
    """Whether, by what is known today, it would be told, and by mail."""
    if _why_not_told(notification, person) is not None:
        return False
    standings = await _standings(session, notification, person, await addresses_of(session, person), [])
    return rules.first_open(standings) == "email"


async def suppress(session: AsyncSession, notification: Notification, reason: SuppressionReason) -> None:
    """Does not send it, nor what it carries."""
    for each in await with_carried(session, notification):
        _take_back(each)
        each.move("suppressed")
        each.reason = reason
        _forget_secret(each)
        publish(session, NotificationSuppressed.of(each, suppressed_at=clock.now()))


async def give_up(session: AsyncSession, notification: Notification) -> None:
    """No channel is left: nothing of it will arrive."""
    for each in await with_carried(session, notification):
        _take_back(each)
        each.move("dead")
        _forget_secret(each)
        reason = notification.reason or "unknown"
        publish(session, NotificationFailed.of(each, channel=notification.channel, reason=reason, failed_at=clock.now()))


async def with_carried(session: AsyncSession, notification: Notification) -> list[Notification]:
    """The notification; of a digest also what it carries."""
    if notification.topic != DIGEST:
        return [notification]
    carried = select(Notification).filter_by(digest_id=notification.notification_id).order_by(Notification.notification_id)
    return [notification, *await session.scalars(carried.with_for_update())]


async def put_off(session: AsyncSession, notification: Notification, until: datetime) -> None:
    """Takes it up again at this time."""
    due = NotificationDue.of(notification)
    await schedule(session, due, at=until, name=f"notification {notification.notification_id}")


async def attempts_of(session: AsyncSession, notification: Notification) -> Sequence[Delivery]:
    """What was tried so far, in order."""
    query = select(Delivery).filter_by(notification_id=notification.notification_id).order_by(Delivery.attempt)
    return (await session.scalars(query)).all()


async def compose(
    session: AsyncSession, notification: Notification, person: Person, channel: Channel, zone: ZoneInfo
) -> tuple[Content, Chosen]:
    """The message, and the template that it was made of. Raises VariableIsMissing."""
    known = {"name": person.full_name or None}
    if notification.facility_id is not None:
        facility = await FacilityReference.find(session, notification.facility_id)
        known["facility"] = facility.name if facility is not None else None
    chosen = await template_for(session, notification.topic, channel, person.locale)
    return render(TOPICS[notification.topic], channel, chosen.content, notification.variables | known, zone), chosen


def _why_not_told(notification: Notification, person: Person) -> SuppressionReason | None:
    if not rules.is_open_to(TOPICS[notification.topic], status=person.status):
        return "recipient_inactive"
    return None if rules.is_of_concern(notification.facility_id, person.facilities) else "not_at_facility"


async def _take_out(session: AsyncSession, notification: Notification, person: Person) -> SuppressionReason | None:
    """Takes out of a digest what its recipient is not told any more: they may have left since it was put together.

    Gives why, where nothing is left in it.
    """
    _, *carried = await with_carried(session, notification)
    left, why = [], None
    for each in carried:
        reason = _why_not_told(each, person)
        if reason is None:
            left.append(each)
        else:
            each.digest_id, why = None, reason
            await suppress(session, each, reason)
    if not left:
        return why
    in_turn = sorted(left, key=lambda each: (each.queued_at, each.notification_id))
    notification.variables = {"items": [each.subject for each in in_turn]}
    return None


async def _standings(
    session: AsyncSession,
    notification: Notification,
    person: Person,
    addresses: Mapping[Channel, Address],
    attempts: Sequence[Delivery],
) -> dict[Channel, rules.Standing]:
    """Of each channel that is not given up, whether it can be used."""
    topic = TOPICS[notification.topic]
    unwanted = await _unwanted(session, notification, person)
    return {
        channel: rules.standing(
            topic,
            wanted=channel not in unwanted,
            has_address=channel in addresses,
            is_disabled=channel in addresses and addresses[channel].disabled_at is not None,
        )
        for channel in topic.channels
        if not rules.is_spent([each.status for each in attempts if each.channel == channel])
    }


async def _choose_channel(session: AsyncSession, notification: Notification, person: Person) -> None:
    attempts = await attempts_of(session, notification)
    addresses = await addresses_of(session, person)
    standings = await _standings(session, notification, person, addresses, attempts)
    channel = rules.first_open(standings)
    if channel is not None:
        await _choose_time(session, notification, person, addresses[channel], len(attempts) + 1)
    elif attempts:
        await give_up(session, notification)
    else:
        await suppress(session, notification, rules.why_none(standings.values()))


async def _choose_time(
    session: AsyncSession, notification: Notification, person: Person, address: Address, attempt: int
) -> None:
    hours, zone = await contact_hours(session, person)
    is_at_the_hour_chosen = notification.topic == DIGEST and notification.rendered_at is None
    if not (TOPICS[notification.topic].at_once or is_at_the_hour_chosen):
        if hours.digest_at is not None and address.channel == "email" and notification.status == "queued":
            await _collect(session, notification, hours, zone)
            return
        quiet_until = rules.quiet_until(clock.now(), zone, hours.quiet_from, hours.quiet_until)
        if quiet_until is not None:
            await put_off(session, notification, quiet_until)
            return
        if notification.rendered_at is None and await _is_over_cap(session, person):
            await suppress(session, notification, "cap_reached")
            return
    await _hand_over(session, notification, person, address, zone, attempt)


async def _collect(session: AsyncSession, notification: Notification, hours: ContactHours, zone: ZoneInfo) -> None:
    """Under the id that it is for: after a merge that one finds its way to the person, whose hours these are."""
    assert hours.digest_at is not None
    notification.is_collected = True
    kind, id_ = notification.recipient_kind, notification.recipient_id
    due = DigestDue(recipient_id=id_, recipient_kind=kind, channel="email")
    at = rules.next_digest(clock.now(), zone, hours.digest_at)
    await schedule(session, due, at=at, name=f"digest {kind} {id_}")


async def _hand_over(
    session: AsyncSession, notification: Notification, person: Person, address: Address, zone: ZoneInfo, attempt: int
) -> None:
    try:
        content, chosen = await compose(session, notification, person, address.channel, zone)
    except VariableIsMissing:
        log.error("notification.incomplete", id=str(notification.notification_id), topic=notification.topic)
        await suppress(session, notification, "missing_variable")
        return
    now = clock.now()
    for each in await with_carried(session, notification):
        _take_back(each)
        each.move("rendered")
    notification.channel = address.channel
    notification.rendered_at = notification.rendered_at or now
    if not TOPICS[notification.topic].secret:
        notification.subject, notification.body = content.subject or notification.subject, content.body
    delivery = Delivery(
        notification_id=notification.notification_id,
        attempt=attempt,
        channel=address.channel,
        address_id=address.address_id,
        locale=chosen.locale,
        template_version=chosen.version,
        status="sending",
        asked_at=now,
    )
    session.add(delivery)
    await session.flush()
    delivery.call_id = await _ask(session, delivery, address, content)


async def _ask(session: AsyncSession, delivery: Delivery, address: Address, content: Content) -> UUID:
    to, key = {"delivery_id": delivery.delivery_id, "to": address.address}, delivery.notification_id
    if address.channel == "email":
        mail = Mail(**to, locale=delivery.locale, subject=content.subject or "", body=content.body)
        return await call(session, send_mail, mail, key=key)
    return await call(session, send_short_message, ShortMessage(**to, channel=address.channel, text=content.body), key=key)


async def _unwanted(session: AsyncSession, notification: Notification, person: Person) -> set[Channel]:
    """The channels that are not wanted for its topic; for a digest also those that are wanted for nothing that it carries."""
    unwanted = await unwanted_channels(session, person, notification.topic)
    topics = {each.topic for each in await with_carried(session, notification)} - {notification.topic}
    of_each = [await unwanted_channels(session, person, topic) for topic in topics]
    return unwanted.union(set.intersection(*of_each)) if of_each else unwanted


def _take_back(notification: Notification) -> None:
    """What a digest carries follows it: back from the attempt that failed, which the digest itself is already."""
    if notification.status not in rules.WAITING:
        notification.move("failed")
        notification.move("retry")


async def _is_over_cap(session: AsyncSession, person: Person) -> bool:
    """Whoever sends to the same person waits until this transaction is over: two at once do not both count as the last."""
    await session.execute(ONE_BY_ONE, {"recipient": f"{person.kind} {person.id}"})
    now = clock.now()
    counted = select(Notification.rendered_at).where(
        Notification.recipient_kind == person.kind,
        Notification.recipient_id.in_(person.ids),
        Notification.rendered_at > now - max(rules.CAPS, default=timedelta()),
        Notification.topic.not_in(NOT_COUNTED),
    )
    return rules.is_over_cap(cast("list[datetime]", list(await session.scalars(counted))), now)


def _forget_secret(notification: Notification) -> None:
    if TOPICS[notification.topic].secret:
        notification.forget()
