"""What lowers a balance: money that arrived, what it settled, and what will not be asked for."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Self
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from contracts.money import Money
from contracts.payment import PaymentSucceeded
from services.billing.tables.base import Base
from services.billing.tables.invoices import InvoiceLineItem


class Receipt(Base):
    """Money that payment told us of: what it settled are its allocations, what it did not is a credit."""

    __tablename__ = "receipts"

    receipt_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    source_event_id: Mapped[UUID] = mapped_column(index=True, comment="the event that told us; the inbox keeps it single")
    payment_id: Mapped[UUID] = mapped_column(index=True)
    amount: Mapped[Decimal]
    currency: Mapped[str]
    received_at: Mapped[datetime]

    @classmethod
    def of(cls, payment: PaymentSucceeded, source_event_id: UUID) -> Self:
        """The receipt of a payment."""
        return cls(
            receipt_id=uuid4(),
            source_event_id=source_event_id,
            payment_id=payment.payment_id,
            amount=payment.amount.amount,
            currency=payment.amount.currency,
            received_at=payment.succeeded_at,
        )


class InvoicePaymentAllocation(Base):
    """What one payment settled of one line."""

    __tablename__ = "invoice_payment_allocations"

    allocation_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    source_event_id: Mapped[UUID] = mapped_column(index=True, comment="the event that told us; the inbox keeps it single")
    receipt_id: Mapped[UUID] = mapped_column(ForeignKey("receipts.receipt_id"), index=True)
    invoice_id: Mapped[UUID] = mapped_column(ForeignKey("invoices.invoice_id"), index=True)
    line_id: Mapped[UUID] = mapped_column(ForeignKey("invoice_line_items.line_id"))
    payment_id: Mapped[UUID]
    amount: Mapped[Decimal]
    currency: Mapped[str]

    @classmethod
    def of(cls, receipt: Receipt, line: InvoiceLineItem, share: Money) -> Self:
        """The allocation of a share of a receipt to a line."""
        return cls(
            source_event_id=receipt.source_event_id,
            receipt_id=receipt.receipt_id,
            invoice_id=line.invoice_id,
            line_id=line.line_id,
            payment_id=receipt.payment_id,
            amount=share.amount,
            currency=share.currency,
        )


class Credit(Base):
    """Money of a patient that settled nothing yet."""

    __tablename__ = "credits"

    credit_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    source_event_id: Mapped[UUID] = mapped_column(index=True, comment="the event that told us; the inbox keeps it single")
    receipt_id: Mapped[UUID] = mapped_column(ForeignKey("receipts.receipt_id"), index=True)
    patient_id: Mapped[UUID] = mapped_column(index=True)
    facility_id: Mapped[UUID]
    invoice_id: Mapped[UUID | None] = mapped_column(ForeignKey("invoices.invoice_id"), comment="what the payer meant to pay")
    payment_id: Mapped[UUID]
    amount: Mapped[Decimal]
    currency: Mapped[str]


class BillingAdjustment(Base):
    """A part of an invoice that will not be asked for, why, and who decided it."""

    __tablename__ = "billing_adjustments"

    adjustment_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    invoice_id: Mapped[UUID] = mapped_column(ForeignKey("invoices.invoice_id"), index=True)
    amount: Mapped[Decimal]
    currency: Mapped[str]
    reason: Mapped[str]
    posted_by: Mapped[str]
    approved_by: Mapped[str | None]
    posted_at: Mapped[datetime]
