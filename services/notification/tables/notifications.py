"""What people are told, and each attempt to tell them."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from contracts.notification import Channel, RecipientKind
from services.notification.rules import DELIVERY, NOTIFICATION, DeliveryStatus, NotificationStatus
from services.notification.tables.base import Base


class Notification(Base):
    """One thing told to one person, once."""

    __tablename__ = "notifications"
    __table_args__ = (
        UniqueConstraint("topic", "recipient_kind", "recipient_id", "fact"),
        Index(None, "recipient_id", "queued_at"),
        Index(
            "notifications_collected_idx",
            "recipient_id",
            postgresql_where=text("is_collected AND status = 'queued'"),
        ),
    )

    notification_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    recipient_kind: Mapped[RecipientKind]
    recipient_id: Mapped[UUID]
    facility_id: Mapped[UUID | None]
    topic: Mapped[str]
    fact: Mapped[str] = mapped_column(comment="said again, it is not told again")
    status: Mapped[NotificationStatus]
    variables: Mapped[dict[str, Any]]
    subject: Mapped[str | None]
    body: Mapped[str | None] = mapped_column(comment="null for what is secret, and for who was erased")
    channel: Mapped[Channel | None] = mapped_column(comment="of the last attempt")
    reason: Mapped[str | None] = mapped_column(comment="why it was suppressed, or the last channel's code")
    is_collected: Mapped[bool] = mapped_column(comment="waits for the recipient's digest")
    digest_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("notifications.notification_id"), index=True, comment="the notification that carries it"
    )
    flow: Mapped[UUID] = mapped_column(comment="that began it; what a channel says later belongs there")
    queued_at: Mapped[datetime]
    rendered_at: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]
    acknowledged_at: Mapped[datetime | None]

    def move(self, to: NotificationStatus) -> None:
        """Changes its state. Raises NotificationCannotBecome."""
        self.status = NOTIFICATION.moved(self.status, to)

    def forget(self) -> None:
        """What it said is gone; that it was sent stays."""
        self.variables, self.subject, self.body = {}, None, None


class Delivery(Base):
    """One attempt over one channel."""

    __tablename__ = "deliveries"
    __table_args__ = (UniqueConstraint("notification_id", "attempt"),)

    delivery_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    notification_id: Mapped[UUID] = mapped_column(ForeignKey("notifications.notification_id"))
    attempt: Mapped[int] = mapped_column(comment="1, 2, 3, … over all channels")
    channel: Mapped[Channel]
    address_id: Mapped[UUID | None] = mapped_column(ForeignKey("addresses.address_id", ondelete="SET NULL"), index=True)
    call_id: Mapped[UUID | None] = mapped_column(unique=True, comment="what receipts refer to")
    locale: Mapped[str] = mapped_column(comment="of the template")
    template_version: Mapped[int] = mapped_column(comment="0 is the one that is shipped")
    status: Mapped[DeliveryStatus]
    code: Mapped[str | None] = mapped_column(comment="what the channel said: an SMTP or HTTP status")
    asked_at: Mapped[datetime]
    answered_at: Mapped[datetime | None]

    def move(self, to: DeliveryStatus) -> None:
        """Changes its state. Raises DeliveryCannotBecome."""
        self.status = DELIVERY.moved(self.status, to)
