"""Invoices that are paid in parts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Self
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, Index, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column, relationship

from contracts.money import Money
from services.payment import rules
from services.payment.tables.base import Base


class ScheduledInstallment(Base):
    """One part of a plan."""

    __tablename__ = "installment_schedule"

    plan_id: Mapped[UUID] = mapped_column(ForeignKey("payment_installment_plans.plan_id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    due_on: Mapped[date]
    amount: Mapped[Decimal]
    paid: Mapped[Decimal] = mapped_column("paid_amount", default=0)
    status: Mapped[rules.InstallmentStatus]

    @property
    def open(self) -> Decimal:
        """How much of it is not paid."""
        return self.amount - self.paid

    def move(self, to: rules.InstallmentStatus) -> None:
        """Changes its state. Raises InstallmentCannotBecome."""
        self.status = rules.INSTALLMENT.moved(self.status, to)


class InstallmentPlan(Base):
    """What was agreed with a payer who cannot pay an invoice at once."""

    __tablename__ = "payment_installment_plans"
    __table_args__ = (
        Index(None, "invoice_id", unique=True, postgresql_where=text("status = 'active'")),
        Index(None, "patient_id"),
    )

    plan_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    invoice_id: Mapped[UUID]
    patient_id: Mapped[UUID]
    facility_id: Mapped[UUID]
    currency: Mapped[str]
    status: Mapped[rules.PlanStatus]
    grace_days: Mapped[int]
    missed_until_default: Mapped[int]
    agreed_by: Mapped[str]
    agreed_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    installments: Mapped[list[ScheduledInstallment]] = relationship(
        order_by=ScheduledInstallment.number, lazy="selectin", cascade="all"
    )

    @property
    def open_amount(self) -> Money:
        """How much of it is not paid."""
        return Money.of(sum((part.open for part in self.installments), Decimal(0)), self.currency)

    def move(self, to: rules.PlanStatus) -> None:
        """Changes its state. Raises PlanCannotBecome."""
        self.status = rules.PLAN.moved(self.status, to)

    @classmethod
    async def active_of(cls, session: AsyncSession, invoice_id: UUID) -> Self | None:
        """The plan by which an invoice is paid, if there is one, for this transaction alone."""
        found = await cls.all_active(session, cls.invoice_id == invoice_id)
        return found[0] if found else None

    @classmethod
    async def all_active(cls, session: AsyncSession, *conditions: object) -> Sequence[Self]:
        """The active ones that meet the conditions, locked in the order of their ids."""
        query = select(cls).where(cls.status == "active", *conditions).order_by(cls.plan_id)  # type: ignore[arg-type]
        return (await session.scalars(query.with_for_update().execution_options(populate_existing=True))).all()
