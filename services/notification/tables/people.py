"""How people want to be told, where they are reached, and what they follow."""

from __future__ import annotations

from datetime import datetime, time
from uuid import UUID, uuid4

from sqlalchemy import Index, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from contracts.notification import Channel, RecipientKind
from services.notification.tables.base import Base


class Preference(Base):
    """Whether a person wants to hear of a topic over a channel. What nobody said is wanted."""

    __tablename__ = "preferences"

    recipient_kind: Mapped[RecipientKind] = mapped_column(primary_key=True)
    recipient_id: Mapped[UUID] = mapped_column(primary_key=True)
    topic: Mapped[str] = mapped_column(primary_key=True)
    channel: Mapped[Channel] = mapped_column(primary_key=True)
    wanted: Mapped[bool]
    changed_at: Mapped[datetime]


class ContactHours(Base):
    """When a person may be disturbed: times of day on their own wall."""

    __tablename__ = "contact_hours"

    recipient_kind: Mapped[RecipientKind] = mapped_column(primary_key=True)
    recipient_id: Mapped[UUID] = mapped_column(primary_key=True)
    quiet_from: Mapped[time | None]
    quiet_until: Mapped[time | None]
    time_zone: Mapped[str | None] = mapped_column(comment="null is the user's own, or that of the patient's facility")
    digest_at: Mapped[time | None] = mapped_column(comment="when what was collected is sent; null collects nothing")
    changed_at: Mapped[datetime] = mapped_column(
        server_default=func.now(), comment="of several records of one person, the last word counts"
    )


class Address(Base):
    """Where a person was reached, or is no longer. Mail and phone come from their owners.

    A device is registered here, and is that of whoever registered it last. The database takes it from its former user, also
    where code of an earlier release registers it.
    """

    __tablename__ = "addresses"
    __table_args__ = (
        UniqueConstraint("recipient_kind", "recipient_id", "channel", "address"),
        Index("addresses_device_key", "address", unique=True, postgresql_where=text("channel = 'push'")),
    )

    address_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    recipient_kind: Mapped[RecipientKind]
    recipient_id: Mapped[UUID]
    channel: Mapped[Channel]
    address: Mapped[str]
    known_since: Mapped[datetime]
    disabled_at: Mapped[datetime | None] = mapped_column(comment="when it bounced")
    disabled_because: Mapped[str | None] = mapped_column(comment="the channel's code")


class Subscription(Base):
    """A topic of a facility that somebody follows without being addressed: one user, or all who have a role there."""

    __tablename__ = "subscriptions"
    __table_args__ = (UniqueConstraint("topic", "facility_id", "role", "user_id", postgresql_nulls_not_distinct=True),)

    subscription_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    topic: Mapped[str]
    facility_id: Mapped[UUID]
    role: Mapped[str | None]
    user_id: Mapped[UUID | None]
    since: Mapped[datetime]
