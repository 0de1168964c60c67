"""Payments that their payers dispute, and what went back to them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

from sqlalchemy import ForeignKey, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from broker import clock
from contracts.money import Money
from contracts.payment import DisputeLost, DisputeOpened, DisputeWon
from services.billing import rules
from services.billing.rules import DisputeStatus
from services.billing.tables.base import Base

ReturnReason = Literal["refund", "dispute_lost"]


class PaymentReturn(Base):
    """A part of a payment that went back to the payer: a refund, or a dispute that was lost. Each takes effect once."""

    __tablename__ = "payment_returns"

    return_id: Mapped[UUID] = mapped_column(primary_key=True, comment="the refund's or the dispute's id")
    payment_id: Mapped[UUID] = mapped_column(index=True)
    reason: Mapped[ReturnReason]
    amount: Mapped[Decimal]
    currency: Mapped[str]
    returned_at: Mapped[datetime]

    @classmethod
    async def noted(cls, session: AsyncSession, return_id: UUID, payment_id: UUID, amount: Money, reason: ReturnReason) -> bool:
        """Notes that money went back; False when that was noted before."""
        row = {"return_id": return_id, "payment_id": payment_id, "reason": reason, "returned_at": clock.now()}
        noting = insert(cls).values(amount=amount.amount, currency=amount.currency, **row).on_conflict_do_nothing()
        return await session.scalar(noting.returning(cls.return_id)) is not None


class Dispute(Base):
    """A dispute over a payment, as far as we were told."""

    __tablename__ = "disputes"

    dispute_id: Mapped[UUID] = mapped_column(primary_key=True)
    payment_id: Mapped[UUID] = mapped_column(index=True)
    status: Mapped[DisputeStatus]

    @classmethod
    async def told(cls, session: AsyncSession, event: DisputeOpened | DisputeWon | DisputeLost, status: DisputeStatus) -> bool:
        """Takes down what we are told of a dispute; False when it changes nothing. Raises DisputeCannotBecome."""
        row = {"dispute_id": event.dispute_id, "payment_id": event.payment_id, "status": status}
        first = insert(cls).values(row).on_conflict_do_nothing().returning(cls.dispute_id)
        if await session.scalar(first) is not None:
            return True
        known = await cls.locked(session, event.dispute_id)
        if not rules.is_news(known.status, status):
            return False
        known.status = status
        return True

    @classmethod
    async def is_open_on(cls, session: AsyncSession, payment_id: UUID) -> bool:
        """Whether a payment is disputed."""
        opened = select(cls.dispute_id).where(cls.payment_id == payment_id, cls.status == "opened")
        return await session.scalar(opened.limit(1)) is not None


class InvoiceHold(Base):
    """What a dispute puts at stake of what was paid on an invoice, while it is not decided."""

    __tablename__ = "invoice_holds"

    dispute_id: Mapped[UUID] = mapped_column(ForeignKey("disputes.dispute_id"), primary_key=True)
    invoice_id: Mapped[UUID] = mapped_column(ForeignKey("invoices.invoice_id"), primary_key=True)
    amount: Mapped[Decimal]
