"""Money that goes back."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from contracts.money import Money
from services.payment import rules
from services.payment.tables.base import Base


class PaymentRefund(Base):
    """Money, or a part of it, that goes back to who paid it."""

    __tablename__ = "payment_refunds"
    __table_args__ = (UniqueConstraint("provider", "provider_refund_id"), Index(None, "facility_id", "succeeded_at"))

    refund_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    payment_id: Mapped[UUID] = mapped_column(ForeignKey("payments.payment_id"), index=True)
    invoice_id: Mapped[UUID | None]
    patient_id: Mapped[UUID] = mapped_column(index=True)
    facility_id: Mapped[UUID]
    value: Mapped[Decimal] = mapped_column("amount")
    currency: Mapped[str]
    status: Mapped[rules.RefundStatus]
    reason: Mapped[str]
    provider: Mapped[str | None] = mapped_column(ForeignKey("payment_providers.code"), comment="null is paid out by hand")
    provider_refund_id: Mapped[str | None]
    failure_code: Mapped[str | None]
    requested_by: Mapped[str]
    decided_by: Mapped[str | None] = mapped_column(comment="who paid it out by hand, or refused to: somebody else")
    flow: Mapped[UUID | None] = mapped_column(
        comment="that asked for it; what its provider says of its own accord belongs there"
    )
    requested_at: Mapped[datetime]
    succeeded_at: Mapped[datetime | None]

    @property
    def amount(self) -> Money:
        """How much."""
        return Money(amount=self.value, currency=self.currency)

    def move(self, to: rules.RefundStatus) -> None:
        """Changes its state. Raises RefundCannotBecome."""
        self.status = rules.REFUND.moved(self.status, to)
