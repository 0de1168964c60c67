"""What a person does with what they were told, and sending by hand."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from broker import NotFound, clock
from contracts.notification import RecipientKind
from services.notification.commands.announcing import tell
from services.notification.errors import TopicIsSentByEventsOnly
from services.notification.tables import Notification
from services.notification.topics import check_said, topic_named


async def send(
    session: AsyncSession,
    *,
    topic: str,
    recipient_kind: RecipientKind,
    recipient_id: UUID,
    facility_id: UUID,
    variables: Mapping[str, str],
    fact: str | None,
) -> Notification:
    """Tells one person of a topic by hand; `fact` keeps it from being told twice.

    Raises TopicIsUnknown, TopicIsSentByEventsOnly, VariableIsUnknown, VariableIsMalformed.
    """
    declared = topic_named(topic)
    if declared.of_account:
        raise TopicIsSentByEventsOnly(topic=topic)
    check_said(declared, variables)
    return await tell(
        session,
        topic=topic,
        recipient_kind=recipient_kind,
        recipient_id=recipient_id,
        facility_id=facility_id,
        variables=variables,
        fact=f"by hand {fact or uuid4()}",
    )


async def acknowledge(session: AsyncSession, notification_id: UUID, user_id: UUID) -> Notification:
    """Notes that a user has read what they were told; again changes nothing. Raises NotFound for what is somebody else's."""
    notification = await Notification.locked(session, notification_id)
    if (notification.recipient_kind, notification.recipient_id) != ("user", user_id):
        raise NotFound
    notification.acknowledged_at = notification.acknowledged_at or clock.now()
    return notification
