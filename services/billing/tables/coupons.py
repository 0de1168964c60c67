"""Coupons, and what they took off invoices."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, ForeignKey, Numeric, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from contracts.money import Money
from services.billing import rules
from services.billing.rules import CouponStatus, Stacking
from services.billing.tables.base import Base, FollowsMerges


class Coupon(Base):
    """A percentage or an amount off an invoice."""

    __tablename__ = "coupons"
    __table_args__ = (
        UniqueConstraint("facility_id", "code"),
        CheckConstraint("redemptions BETWEEN 0 AND most_redemptions", name="redemptions"),
        CheckConstraint("num_nonnulls(percent, amount) = 1", name="worth"),
    )

    coupon_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    facility_id: Mapped[UUID]
    code: Mapped[str]
    status: Mapped[CouponStatus]
    stacking: Mapped[Stacking]
    percent: Mapped[Decimal | None] = mapped_column(Numeric(5, 2))
    amount: Mapped[Decimal | None]
    currency: Mapped[str | None]
    valid_from: Mapped[date]
    valid_to: Mapped[date]
    most_redemptions: Mapped[int]
    most_per_patient: Mapped[int | None]
    redemptions: Mapped[int]

    @property
    def fixed(self) -> Money | None:
        """What it takes off, when that is an amount."""
        if self.amount is None or self.currency is None:
            return None
        return Money(amount=self.amount, currency=self.currency)

    def move(self, to: CouponStatus) -> None:
        """Changes its state. Raises CouponCannotBecome."""
        self.status = rules.COUPON.moved(self.status, to)

    def redeem(self) -> None:
        """Counts one use; the last one exhausts it."""
        self.redemptions += 1
        if self.redemptions == self.most_redemptions:
            self.move("exhausted")


class CouponRedemption(FollowsMerges, Base):
    """One use of a coupon."""

    __tablename__ = "coupon_redemptions"
    __table_args__ = (UniqueConstraint("coupon_id", "invoice_id"), UniqueConstraint("coupon_id", "redemption_key"))

    redemption_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    coupon_id: Mapped[UUID] = mapped_column(ForeignKey("coupons.coupon_id"))
    redemption_key: Mapped[str | None] = mapped_column(comment="the client's; the same one again is the same redemption")
    invoice_id: Mapped[UUID] = mapped_column(ForeignKey("invoices.invoice_id"), index=True)
    patient_id: Mapped[UUID] = mapped_column(index=True)
    amount: Mapped[Decimal]
    currency: Mapped[str]
    redeemed_at: Mapped[datetime]
