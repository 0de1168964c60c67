"""What providers say that they settled, beside our books."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from contracts.money import Money
from services.payment import rules
from services.payment.tables.base import Base


class PaymentReconciliation(Base):
    """A payment or refund that a provider settled, or should have settled, once."""

    __tablename__ = "payment_reconciliation"
    __table_args__ = (
        UniqueConstraint("facility_id", "provider", "kind", "provider_payment_id", name="payment_reconciliation_once"),
        Index(None, "facility_id", "status"),
    )

    reconciliation_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    facility_id: Mapped[UUID] = mapped_column(comment="whose account with the provider was settled")
    provider: Mapped[str] = mapped_column(ForeignKey("payment_providers.code"))
    kind: Mapped[rules.SettledKind]
    provider_payment_id: Mapped[str]
    payment_id: Mapped[UUID | None] = mapped_column(index=True)
    day: Mapped[date] = mapped_column(comment="of the settlement that showed it first")
    status: Mapped[rules.FindingStatus]
    difference: Mapped[rules.Difference | None]
    our_amount: Mapped[Decimal | None]
    our_currency: Mapped[str | None]
    their_amount: Mapped[Decimal | None]
    their_currency: Mapped[str | None]
    fee: Mapped[Decimal | None]
    resolved_by: Mapped[str | None]
    resolved_because: Mapped[str | None]
    found_at: Mapped[datetime]

    @property
    def ours(self) -> Money | None:
        """What our books say; None when they say nothing."""
        return _money(self.our_amount, self.our_currency)

    @property
    def theirs(self) -> Money | None:
        """What the provider says; None when it says nothing."""
        return _money(self.their_amount, self.their_currency)

    def move(self, to: rules.FindingStatus) -> None:
        """Changes its state. Raises FindingCannotBecome."""
        self.status = rules.FINDING.moved(self.status, to)


def _money(amount: Decimal | None, currency: str | None) -> Money | None:
    return None if amount is None or currency is None else Money(amount=amount, currency=currency)
