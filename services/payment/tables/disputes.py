"""Money that a payer's bank wants back."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from contracts.money import Money
from services.payment import rules
from services.payment.tables.base import Base


class PaymentDispute(Base):
    """A payer tells their bank that they did not mean to pay."""

    __tablename__ = "payment_disputes"
    __table_args__ = (UniqueConstraint("provider", "provider_dispute_id"),)

    dispute_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    payment_id: Mapped[UUID] = mapped_column(ForeignKey("payments.payment_id"), index=True)
    invoice_id: Mapped[UUID | None]
    patient_id: Mapped[UUID] = mapped_column(index=True)
    facility_id: Mapped[UUID]
    value: Mapped[Decimal] = mapped_column("amount")
    currency: Mapped[str]
    status: Mapped[rules.DisputeStatus]
    reason: Mapped[str] = mapped_column(comment="the provider's code")
    provider: Mapped[str] = mapped_column(ForeignKey("payment_providers.code"))
    provider_dispute_id: Mapped[str]
    evidence_due_at: Mapped[datetime]
    evidence_by: Mapped[str | None]
    evidence_at: Mapped[datetime | None] = mapped_column(comment="when the provider was asked to take it")
    opened_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]

    @property
    def amount(self) -> Money:
        """How much is at stake."""
        return Money(amount=self.value, currency=self.currency)

    def move(self, to: rules.DisputeStatus) -> None:
        """Changes its state. Raises DisputeCannotBecome."""
        self.status = rules.DISPUTE.moved(self.status, to)
