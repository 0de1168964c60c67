"""Payments, who moves them, and what those told us of their own accord."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Self
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, Index, UniqueConstraint, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from broker import StateOwner, clock, current_cause, publishes_state
from contracts.money import Money
from contracts.payment import PaymentChanged, PaymentMethod, PaymentStatus
from services.payment import rules
from services.payment.errors import PaymentNotFound
from services.payment.tables.base import Base, FollowsMerges


class PaymentProvider(Base):
    """Who moves money for us."""

    __tablename__ = "payment_providers"

    code: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    method: Mapped[PaymentMethod]


@publishes_state(PaymentChanged)
class Payment(StateOwner, FollowsMerges, Base):
    """Money that somebody pays, tries to pay, or paid."""

    __tablename__ = "payments"
    __table_args__ = (
        UniqueConstraint("provider", "provider_payment_id"),
        UniqueConstraint("facility_id", "reference"),
        Index(None, "facility_id", "succeeded_at"),
    )

    payment_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    invoice_id: Mapped[UUID | None] = mapped_column(index=True, comment="what the payer named; null is money on account")
    patient_id: Mapped[UUID] = mapped_column(index=True)
    facility_id: Mapped[UUID]
    value: Mapped[Decimal] = mapped_column("amount")
    captured_value: Mapped[Decimal] = mapped_column("captured_amount", comment="how much of it we have")
    currency: Mapped[str]
    method: Mapped[PaymentMethod]
    status: Mapped[PaymentStatus]
    capture: Mapped[rules.CaptureMode]
    is_asked: Mapped[bool] = mapped_column(comment="the provider has yet to answer a capture or a release")
    is_unwanted: Mapped[bool] = mapped_column(comment="an authorisation is released, not captured")
    provider: Mapped[str | None] = mapped_column(ForeignKey("payment_providers.code"))
    provider_payment_id: Mapped[str | None]
    reference: Mapped[str | None] = mapped_column(comment="what whoever recorded it calls it, at its facility")
    memo: Mapped[str | None] = mapped_column(unique=True, comment="what a transfer that pays it carries")
    decline_code: Mapped[str | None]
    taken_by: Mapped[str | None] = mapped_column(comment="who took the cash")
    verified_by: Mapped[str | None] = mapped_column(comment="who counted it: somebody else")
    flow: Mapped[UUID] = mapped_column(comment="that began it; what its provider says of its own accord belongs there")
    initiated_at: Mapped[datetime]
    succeeded_at: Mapped[datetime | None]

    @classmethod
    def begun(cls, amount: Money, **known: object) -> Self:
        """A payment of which nothing is ours yet, in the flow that begins it."""
        return cls(
            payment_id=uuid4(),
            value=amount.amount,
            captured_value=Decimal(0),
            currency=amount.currency,
            status="requires_method",
            is_asked=False,
            is_unwanted=False,
            flow=current_cause().flow,
            initiated_at=clock.now(),
            **known,
        )

    @property
    def amount(self) -> Money:
        """How much."""
        return Money(amount=self.value, currency=self.currency)

    @property
    def captured(self) -> Money:
        """How much of it is ours."""
        return Money(amount=self.captured_value, currency=self.currency)

    @property
    def uncaptured(self) -> Money:
        """How much of it is not ours: what the provider may hold for us."""
        return self.amount - self.captured

    @classmethod
    async def locked(cls, session: AsyncSession, payment_id: UUID) -> Self:
        """The payment, for this transaction alone. Raises PaymentNotFound."""
        found = await cls.all_locked(session, cls.payment_id == payment_id)
        if not found:
            raise PaymentNotFound(payment_id=payment_id)
        return found[0]

    @classmethod
    async def all_locked(cls, session: AsyncSession, *conditions: object) -> Sequence[Self]:
        """Those that meet the conditions, locked in the order of their ids."""
        query = select(cls).where(*conditions).order_by(cls.payment_id)  # type: ignore[arg-type]
        return (await session.scalars(query.with_for_update().execution_options(populate_existing=True))).all()

    def move(self, to: PaymentStatus) -> None:
        """Changes its state. Raises PaymentCannotBecome."""
        self.status = rules.PAYMENT.moved(self.status, to)


class PaymentWebhook(Base):
    """What a provider told us of its own accord, once per event of theirs. What is not genuine is not kept."""

    __tablename__ = "payment_webhooks"

    provider: Mapped[str] = mapped_column(ForeignKey("payment_providers.code"), primary_key=True)
    provider_event_id: Mapped[str] = mapped_column(primary_key=True)
    type: Mapped[str]
    payment_id: Mapped[UUID | None] = mapped_column(index=True)
    status: Mapped[rules.WebhookStatus]
    received_at: Mapped[datetime]

    def move(self, to: rules.WebhookStatus) -> None:
        """Changes its state. Raises WebhookCannotBecome."""
        self.status = rules.WEBHOOK.moved(self.status, to)
