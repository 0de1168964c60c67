"""What came in and went back, day by day."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from uuid import UUID

from sqlalchemy.orm import Mapped, mapped_column

from contracts.payment import PaymentMethod
from services.payment.tables.base import Base


class PaymentAnalyticsDaily(Base):
    """The payments of a facility on one of its days, by method and currency: how many, and how much."""

    __tablename__ = "payment_analytics_daily"

    facility_id: Mapped[UUID] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    method: Mapped[PaymentMethod] = mapped_column(primary_key=True)
    currency: Mapped[str] = mapped_column(primary_key=True)
    succeeded: Mapped[int] = mapped_column(server_default="0")
    succeeded_amount: Mapped[Decimal] = mapped_column(server_default="0")
    failed: Mapped[int] = mapped_column(server_default="0")
    failed_amount: Mapped[Decimal] = mapped_column(server_default="0")
    refunded: Mapped[int] = mapped_column(server_default="0")
    refunded_amount: Mapped[Decimal] = mapped_column(server_default="0")
