"""What notification's API takes and gives."""

from __future__ import annotations

from datetime import datetime, time
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from broker import Asked, Shown
from contracts.notification import Channel, RecipientKind
from services.notification.rules import DeliveryStatus, NotificationStatus, Verdict

TopicName = Annotated[str, Field(min_length=1, max_length=100)]
Locale = Annotated[str, Field(max_length=35, pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$", description="BCP 47")]
Role = Annotated[str, Field(min_length=1, max_length=50, pattern=r"^[a-z_]+$")]


def _local(told: time) -> time:
    if told.tzinfo is not None:
        raise ValueError("a time of day where somebody lives has no offset")
    return told


LocalTime = Annotated[
    time,
    AfterValidator(_local),
    WithJsonSchema({"type": "string", "pattern": r"^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$"}),
]


class NewNotification(Asked):
    """Something to tell somebody by hand; `fact`, said again, is not told again."""

    topic: TopicName
    recipient_kind: RecipientKind
    recipient_id: UUID
    facility_id: UUID
    variables: Annotated[dict[str, Annotated[str, Field(max_length=200)]], Field(max_length=20)] = Field(default_factory=dict)
    fact: Annotated[str | None, Field(min_length=1, max_length=200)] = None


class NewTemplateVersion(Asked):
    """What a message is to look like from now on. Jinja; a short message (sms, push) has no subject."""

    topic: TopicName
    channel: Channel
    locale: Locale
    subject: Annotated[str | None, Field(max_length=200)] = None
    body: Annotated[str, Field(min_length=1, max_length=10_000)]


class NewPreference(Asked):
    """Whether a topic is wanted over a channel."""

    topic: TopicName
    channel: Channel
    wanted: bool


class NewContactHours(Asked):
    """When somebody may be disturbed: local times of day. What is null is not said."""

    quiet_from: LocalTime | None = None
    quiet_until: LocalTime | None = None
    time_zone: Annotated[str | None, Field(max_length=50, description="IANA")] = None
    digest_at: LocalTime | None = None


class NewDevice(Asked):
    """A device to push to."""

    token: Annotated[str, Field(min_length=8, max_length=500)]


class NewSubscription(Asked):
    """Who follows a topic of a facility: one user, or all who have a role there."""

    topic: TopicName
    facility_id: UUID
    role: Role | None = None
    user_id: UUID | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.role is None) == (self.user_id is None):
            raise ValueError("give either a role or a user")
        return self


class Receipt(Asked):
    """What a channel says later of a message; `reference` is the Idempotency-Key or Message-ID that it came with."""

    reference: UUID
    status: Literal["delivered", "bounced", "failed"]
    code: Annotated[str, Field(max_length=100)] = ""

    @property
    def verdict(self) -> Verdict:
        """What it means to us."""
        return "refused" if self.status == "failed" else self.status


class Topic(Shown):
    """Something people are told of."""

    name: str
    variables: list[str]
    channels: list[Channel]
    at_once: bool


class Notification(Shown):
    """What became of a notification, without what it says."""

    notification_id: UUID
    recipient_kind: RecipientKind
    recipient_id: UUID
    facility_id: UUID | None
    topic: str
    status: NotificationStatus
    channel: Channel | None
    reason: str | None
    queued_at: datetime
    sent_at: datetime | None
    delivered_at: datetime | None
    acknowledged_at: datetime | None


class OwnNotification(Notification):
    """What somebody was told."""

    subject: str | None
    body: str | None


class Delivery(Shown):
    """One attempt over one channel."""

    delivery_id: UUID
    attempt: int
    channel: Channel
    locale: str
    template_version: int
    status: DeliveryStatus
    code: str | None
    asked_at: datetime
    answered_at: datetime | None


class TemplateVersion(Shown):
    """A version of a template."""

    template_id: UUID
    topic: str
    channel: Channel
    locale: str
    version: int
    subject: str | None
    body: str
    registered_at: datetime


class Preference(Shown):
    """Whether a topic is wanted over a channel."""

    topic: str
    channel: Channel
    wanted: bool


class ContactHours(Shown):
    """When somebody may be disturbed."""

    quiet_from: LocalTime | None
    quiet_until: LocalTime | None
    time_zone: str | None
    digest_at: LocalTime | None


class Address(Shown):
    """An address, without the address: whether it is used, and why not."""

    address_id: UUID
    recipient_kind: RecipientKind
    recipient_id: UUID
    channel: Channel
    known_since: datetime
    disabled_at: datetime | None
    disabled_because: str | None


class Subscription(Shown):
    """Who follows a topic."""

    subscription_id: UUID
    topic: str
    facility_id: UUID
    role: str | None
    user_id: UUID | None
    since: datetime
