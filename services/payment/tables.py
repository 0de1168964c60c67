"""The tables that payment owns."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Self
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, Numeric, UniqueConstraint, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from broker import StateOwner, Tables, publishes_state
from contracts.money import Money
from contracts.payment import PaymentChanged, PaymentMethod, PaymentStatus
from services.payment import rules
from services.payment.errors import PaymentNotFound

CARD_PROVIDER = "card"
"""The provider that cards are paid through, in `payment_providers`."""


class Base(Tables, DeclarativeBase):
    """Every table of payment."""

    type_annotation_map = {Decimal: Numeric(14, 2)}  # noqa: RUF012 (read by SQLAlchemy from the class)


class PaymentProvider(Base):
    """Who moves money for us."""

    __tablename__ = "payment_providers"

    code: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    method: Mapped[PaymentMethod]


@publishes_state(PaymentChanged)
class Payment(StateOwner, Base):
    """Money that somebody pays, tries to pay, or paid."""

    __tablename__ = "payments"
    __table_args__ = (UniqueConstraint("provider", "provider_payment_id"),)

    payment_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    invoice_id: Mapped[UUID | None] = mapped_column(index=True, comment="what the payer named; null is money on account")
    patient_id: Mapped[UUID] = mapped_column(index=True)
    facility_id: Mapped[UUID]
    value: Mapped[Decimal] = mapped_column("amount")
    currency: Mapped[str]
    method: Mapped[PaymentMethod]
    status: Mapped[PaymentStatus]
    provider: Mapped[str | None] = mapped_column(ForeignKey("payment_providers.code"))
    provider_payment_id: Mapped[str | None]
    reference: Mapped[str | None] = mapped_column(unique=True, comment="what whoever recorded it calls it")
    decline_code: Mapped[str | None]
    flow: Mapped[UUID] = mapped_column(comment="that began it; what its provider says of its own accord belongs there")
    initiated_at: Mapped[datetime]
    succeeded_at: Mapped[datetime | None]

    @property
    def amount(self) -> Money:
        """How much."""
        return Money(amount=self.value, currency=self.currency)

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
        self.status = rules.moved(self.status, to)


class PaymentWebhook(Base):
    """What a provider told us of its own accord, once per event of theirs. What is not genuine is not kept."""

    __tablename__ = "payment_webhooks"

    provider: Mapped[str] = mapped_column(ForeignKey("payment_providers.code"), primary_key=True)
    provider_event_id: Mapped[str] = mapped_column(primary_key=True)
    type: Mapped[str]
    payment_id: Mapped[UUID] = mapped_column(index=True)
    status: Mapped[rules.WebhookStatus]
    received_at: Mapped[datetime]

    def move(self, to: rules.WebhookStatus) -> None:
        """Changes its state."""
        if to not in rules.WEBHOOK_MOVES[self.status]:
            raise ValueError(f"a webhook that was {self.status} cannot become {to}")
        self.status = to
