"""Money that arrived: what it settled, what is left of it, and what of it went back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple, Self
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from broker import Later
from contracts.money import Money
from contracts.payment import PaymentSucceeded
from services.billing.tables.base import Base, FollowsMerges
from services.billing.tables.invoices import InvoiceLineItem


class Receipt(Base):
    """Money that payment told us of: it settled something (its allocations), is a credit, or went back to the payer."""

    __tablename__ = "receipts"
    __table_args__ = (CheckConstraint("returned_amount BETWEEN 0 AND amount", name="returned_amount"),)

    receipt_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    source_event_id: Mapped[UUID] = mapped_column(index=True, comment="the event that told us; the inbox keeps it single")
    payment_id: Mapped[UUID] = mapped_column(index=True)
    amount: Mapped[Decimal]
    currency: Mapped[str]
    returned_amount: Mapped[Decimal] = mapped_column(server_default="0", comment="what went back to the payer of it")
    received_at: Mapped[datetime]

    @classmethod
    async def of_payment(cls, session: AsyncSession, payment_id: UUID) -> Self:
        """The receipt of a payment, for this transaction alone. Raises Later while the payment has not arrived.

        Others may still add what refers to it: who lowers an invoice does, under the invoice's lock.
        """
        query = select(cls).where(cls.payment_id == payment_id).with_for_update(key_share=True)
        receipt = (await session.scalars(query.execution_options(populate_existing=True))).first()
        if receipt is None:
            raise Later(f"payment {payment_id} has not arrived yet")
        return receipt

    @classmethod
    def of(cls, payment: PaymentSucceeded, source_event_id: UUID) -> Self:
        """The receipt of a payment."""
        return cls(
            receipt_id=uuid4(),
            source_event_id=source_event_id,
            payment_id=payment.payment_id,
            amount=payment.amount.amount,
            currency=payment.amount.currency,
            returned_amount=Decimal(0),
            received_at=payment.succeeded_at,
        )

    @property
    def source(self) -> Source:
        """The receipt as what settles something, when it comes."""
        return Source(self.receipt_id, self.payment_id, self.source_event_id, self.received_at)


class Source(NamedTuple):
    """Whose money moves: the receipt that it came with, and what moves it now."""

    receipt_id: UUID
    payment_id: UUID
    event_id: UUID
    """The event that told us, or a new id for what a person decided."""
    at: datetime


class InvoicePaymentAllocation(Base):
    """What one payment settled of one line, or, with a negative amount, that some of it was reversed. Only ever added to."""

    __tablename__ = "invoice_payment_allocations"

    allocation_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    sequence: Mapped[int] = mapped_column(BigInteger, Identity(), comment="the order in which they were made")
    source_event_id: Mapped[UUID] = mapped_column(index=True, comment="the event that told us; the inbox keeps it single")
    receipt_id: Mapped[UUID] = mapped_column(ForeignKey("receipts.receipt_id"), index=True)
    invoice_id: Mapped[UUID] = mapped_column(ForeignKey("invoices.invoice_id"), index=True)
    line_id: Mapped[UUID] = mapped_column(ForeignKey("invoice_line_items.line_id"))
    payment_id: Mapped[UUID]
    amount: Mapped[Decimal]
    currency: Mapped[str]
    reverses_id: Mapped[UUID | None] = mapped_column(ForeignKey("invoice_payment_allocations.allocation_id"))

    @property
    def share(self) -> Money:
        """Its amount; that of a reversal is negative."""
        return Money(amount=self.amount, currency=self.currency)

    @classmethod
    async def of_receipt(cls, session: AsyncSession, receipt_id: UUID) -> Sequence[Self]:
        """What a receipt settled, with what was reversed of it."""
        return (await session.scalars(select(cls).where(cls.receipt_id == receipt_id))).all()

    @classmethod
    async def of_invoice(cls, session: AsyncSession, invoice_id: UUID) -> Sequence[Self]:
        """What settled an invoice, with what was reversed of it."""
        return (await session.scalars(select(cls).where(cls.invoice_id == invoice_id))).all()

    @classmethod
    def of(cls, source: Source, line: InvoiceLineItem, share: Money) -> Self:
        """The allocation of a share of a receipt to a line."""
        return cls(
            allocation_id=uuid4(),
            source_event_id=source.event_id,
            receipt_id=source.receipt_id,
            invoice_id=line.invoice_id,
            line_id=line.line_id,
            payment_id=source.payment_id,
            amount=share.amount,
            currency=share.currency,
        )

    def reversal(self, part: Money, source_id: UUID) -> Self:
        """What takes back a part of it."""
        return type(self)(
            allocation_id=uuid4(),
            source_event_id=source_id,
            receipt_id=self.receipt_id,
            invoice_id=self.invoice_id,
            line_id=self.line_id,
            payment_id=self.payment_id,
            amount=-part.amount,
            currency=part.currency,
            reverses_id=self.allocation_id,
        )


class Credit(FollowsMerges, Base):
    """Money of a patient that settled nothing yet. What is used of it settled an invoice after all, or went back."""

    __tablename__ = "credits"
    __table_args__ = (CheckConstraint("used_amount BETWEEN 0 AND amount", name="used_amount"),)

    credit_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    source_event_id: Mapped[UUID] = mapped_column(index=True, comment="the event that told us; the inbox keeps it single")
    receipt_id: Mapped[UUID] = mapped_column(ForeignKey("receipts.receipt_id"), index=True)
    patient_id: Mapped[UUID] = mapped_column(index=True)
    facility_id: Mapped[UUID]
    invoice_id: Mapped[UUID | None] = mapped_column(ForeignKey("invoices.invoice_id"), comment="what the payer meant to pay")
    payment_id: Mapped[UUID]
    amount: Mapped[Decimal]
    used_amount: Mapped[Decimal] = mapped_column(server_default="0")
    currency: Mapped[str]

    @property
    def left(self) -> Money:
        """What is still there."""
        return Money(amount=self.amount - self.used_amount, currency=self.currency)

    def use(self, most: Money) -> Money:
        """Takes up to `most` of it; gives how much that was."""
        taken = min(most, self.left)
        self.used_amount += taken.amount
        return taken

    @classmethod
    def of(
        cls,
        source: Source,
        patient_id: UUID,
        facility_id: UUID,
        invoice_id: UUID | None,
        amount: Money,
        *,
        recorded_for: UUID,
    ) -> Self:
        """What of a receipt settles nothing."""
        return cls(
            credit_id=uuid4(),
            source_event_id=source.event_id,
            receipt_id=source.receipt_id,
            patient_id=patient_id,
            recorded_for=recorded_for,
            facility_id=facility_id,
            invoice_id=invoice_id,
            payment_id=source.payment_id,
            amount=amount.amount,
            used_amount=Decimal(0),
            currency=amount.currency,
        )

    @classmethod
    async def of_receipt(cls, session: AsyncSession, receipt_id: UUID) -> Sequence[Self]:
        """What is left of a receipt, locked."""
        query = select(cls).where(cls.receipt_id == receipt_id, cls.used_amount < cls.amount).order_by(cls.credit_id)
        return (await session.scalars(query.with_for_update().execution_options(populate_existing=True))).all()
