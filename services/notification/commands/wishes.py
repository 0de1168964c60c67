"""How people want to be told, and what they follow."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import time
from uuid import UUID, uuid4

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from broker import NotFound, clock, publish
from contracts.notification import Channel, PreferenceChanged, RecipientKind
from services.notification import rules
from services.notification.errors import FollowersHaveARoleThere
from services.notification.replicas import UserReference
from services.notification.tables import Address, ContactHours, Preference, Subscription
from services.notification.topics import check_followable, topic_named


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """When somebody may be disturbed; what is None is not said."""

    quiet_from: time | None = None
    quiet_until: time | None = None
    time_zone: str | None = None
    digest_at: time | None = None


async def set_preference(
    session: AsyncSession, *, recipient_kind: RecipientKind, recipient_id: UUID, topic: str, channel: Channel, wanted: bool
) -> Preference:
    """Notes whether somebody wants to hear of a topic over a channel. Raises TopicIsUnknown."""
    topic_named(topic)
    key = {"recipient_kind": recipient_kind, "recipient_id": recipient_id, "topic": topic, "channel": channel}
    said = {"wanted": wanted, "changed_at": clock.now()}
    noted = insert(Preference).values(key | said).on_conflict_do_update(index_elements=list(key), set_=said)
    rows = await session.scalars(noted.returning(Preference), execution_options={"populate_existing": True})
    preference = rows.one()
    publish(session, PreferenceChanged.of(preference))
    return preference


async def set_contact_hours(
    session: AsyncSession, *, recipient_kind: RecipientKind, recipient_id: UUID, hours: Hours
) -> ContactHours:
    """Notes when somebody may be disturbed. Raises QuietHoursNeedAnEnd, TimeZoneIsUnknown."""
    rules.check_quiet_hours(hours.quiet_from, hours.quiet_until)
    if hours.time_zone is not None:
        rules.check_time_zone(hours.time_zone)
    said = ContactHours(
        recipient_kind=recipient_kind,
        recipient_id=recipient_id,
        quiet_from=hours.quiet_from,
        quiet_until=hours.quiet_until,
        time_zone=hours.time_zone,
        digest_at=hours.digest_at,
        changed_at=clock.now(),
    )
    return await session.merge(said)


async def register_device(session: AsyncSession, *, user_id: UUID, token: str) -> Address:
    """Notes the device to push to: the last one registered is used. It is no longer that of whoever had it before.

    Raises AddressIsNotUsable.
    """
    rules.check_address("push", token)
    whose = {"recipient_kind": "user", "recipient_id": user_id, "known_since": clock.now()}
    registered = insert(Address).values(whose | {"channel": "push", "address": token})
    theirs = registered.on_conflict_do_update(
        index_elements=[Address.address],
        index_where=text("channel = 'push'"),
        set_=whose | {"disabled_at": None, "disabled_because": None},
    )
    rows = await session.scalars(theirs.returning(Address), execution_options={"populate_existing": True})
    return rows.one()


async def forget_device(session: AsyncSession, address_id: UUID, *, user_id: UUID) -> None:
    """Pushes to a device of a user's no more. Raises NotFound for what is no device of theirs."""
    device = await Address.locked(session, address_id)
    if (device.channel, device.recipient_kind, device.recipient_id) != ("push", "user", user_id):
        raise NotFound
    await session.delete(device)


async def enable_address(session: AsyncSession, address_id: UUID) -> Address:
    """Uses an address again that bounced: somebody has seen to it. Raises NotFound."""
    address = await Address.locked(session, address_id)
    address.disabled_at, address.disabled_because = None, None
    return address


async def follow(
    session: AsyncSession, *, topic: str, facility_id: UUID, role: str | None, user_id: UUID | None
) -> Subscription:
    """Lets one user, or all with a role at a facility, hear of a topic there.

    Raises TopicIsUnknown, TopicCannotBeFollowed, FollowersHaveARoleThere.
    """
    check_followable(topic)
    if user_id is not None and not await UserReference.is_at(session, user_id, facility_id):
        raise FollowersHaveARoleThere
    key = {"topic": topic, "facility_id": facility_id, "role": role, "user_id": user_id}
    await session.execute(
        insert(Subscription).values(subscription_id=uuid4(), since=clock.now(), **key).on_conflict_do_nothing()
    )
    return (await session.scalars(select(Subscription).filter_by(**key))).one()


async def unfollow(session: AsyncSession, subscription: Subscription) -> None:
    """Ends it."""
    await session.delete(subscription)
