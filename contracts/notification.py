"""What notification publishes: what became of each message to a person. What it said, and the address, stay inside."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from contracts.event import Event

Channel = Literal["email", "sms", "push"]
RecipientKind = Literal["user", "patient"]
SuppressionReason = Literal[
    "preference",
    "no_address",
    "address_disabled",
    "cap_reached",
    "recipient_unknown",
    "recipient_inactive",
    "not_at_facility",
    "missing_variable",
]


class NotificationSent(Event, name="notification.sent", version=1, key="notification_id"):
    """It left for its recipient over this channel."""

    notification_id: UUID
    recipient_kind: RecipientKind
    recipient_id: UUID
    topic: str
    channel: Channel
    sent_at: datetime


class NotificationDelivered(Event, name="notification.delivered", version=1, key="notification_id"):
    """The channel says that it arrived."""

    notification_id: UUID
    recipient_kind: RecipientKind
    recipient_id: UUID
    topic: str
    channel: Channel
    delivered_at: datetime


class NotificationFailed(Event, name="notification.failed", version=1, key="notification_id"):
    """It cannot be delivered over any channel; `reason` is the last channel's code."""

    notification_id: UUID
    recipient_kind: RecipientKind
    recipient_id: UUID
    topic: str
    channel: Channel
    reason: str
    failed_at: datetime


class NotificationSuppressed(Event, name="notification.suppressed", version=1, key="notification_id"):
    """It was deliberately not sent."""

    notification_id: UUID
    recipient_kind: RecipientKind
    recipient_id: UUID
    topic: str
    reason: SuppressionReason
    suppressed_at: datetime


class NotificationDue(Event, name="notification.due", version=1, key="notification_id"):
    """A message that waited, for the end of quiet hours or before another attempt, can go; notification tells itself."""

    notification_id: UUID


class DigestDue(Event, name="notification.digest.due", version=1, key="recipient_id"):
    """What was collected for a person is to be sent as one message; notification tells itself."""

    recipient_id: UUID
    recipient_kind: RecipientKind
    channel: Channel


class PreferenceChanged(Event, name="preference.changed", version=1, key="recipient_id"):
    """A person, or somebody for them, said how they want to hear of a topic."""

    recipient_id: UUID
    recipient_kind: RecipientKind
    topic: str
    channel: Channel
    wanted: bool
