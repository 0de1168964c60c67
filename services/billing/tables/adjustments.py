"""What lowers a balance without money, and who decided it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Self
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, Index, UniqueConstraint, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from broker import clock
from contracts.money import Money
from services.billing import rules
from services.billing.rules import ReasonCode, RequestStatus
from services.billing.tables.base import Base
from services.billing.tables.invoices import Invoice


class BillingAdjustment(Base):
    """A part of an invoice that will not be asked for, why, and who decided it."""

    __tablename__ = "billing_adjustments"

    adjustment_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    invoice_id: Mapped[UUID] = mapped_column(ForeignKey("invoices.invoice_id"), index=True)
    amount: Mapped[Decimal]
    currency: Mapped[str]
    reason_code: Mapped[ReasonCode] = mapped_column(server_default="other")
    reason: Mapped[str]
    posted_by: Mapped[str]
    approved_by: Mapped[str | None]
    posted_at: Mapped[datetime]

    @classmethod
    async def given_up_alone(cls, session: AsyncSession, invoice: Invoice) -> Money:
        """What of an invoice was given up at one person's discretion, without a second one."""
        alone = [cls.approved_by.is_(None) | (cls.approved_by == cls.posted_by), cls.reason_code.in_(rules.GIVEN_UP)]
        amount = await session.scalar(select(func.sum(cls.amount)).where(cls.invoice_id == invoice.invoice_id, *alone))
        return Money.of(amount or 0, invoice.currency)


class CreditNote(Base):
    """A document that takes back a part of an invoice on which something had been paid."""

    __tablename__ = "credit_notes"
    __table_args__ = (UniqueConstraint("facility_id", "number"),)

    credit_note_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    invoice_id: Mapped[UUID] = mapped_column(ForeignKey("invoices.invoice_id"), index=True)
    facility_id: Mapped[UUID]
    number: Mapped[str]
    amount: Mapped[Decimal]
    currency: Mapped[str]
    reason: Mapped[str]
    issued_by: Mapped[str]
    approved_by: Mapped[str | None]
    issued_at: Mapped[datetime]


class Request(Base):
    """Somebody asks that an invoice be lowered; somebody else decides."""

    __abstract__ = True

    invoice_id: Mapped[UUID] = mapped_column(ForeignKey("invoices.invoice_id"))
    facility_id: Mapped[UUID]
    status: Mapped[RequestStatus]
    amount: Mapped[Decimal]
    currency: Mapped[str]
    reason: Mapped[str]
    requested_by: Mapped[str]
    requested_at: Mapped[datetime]
    decided_by: Mapped[str | None]
    decided_at: Mapped[datetime | None]

    @property
    def requested(self) -> Money:
        """What was asked for; of a write-off, what was open then."""
        return Money(amount=self.amount, currency=self.currency)

    @classmethod
    def of(cls, invoice: Invoice, amount: Money, reason: str, by: str) -> Self:
        """A request to lower an invoice."""
        return cls(
            invoice_id=invoice.invoice_id,
            facility_id=invoice.facility_id,
            status="requested",
            amount=amount.amount,
            currency=amount.currency,
            reason=reason,
            requested_by=by,
            requested_at=clock.now(),
        )

    @classmethod
    async def is_undecided(cls, session: AsyncSession, invoice_id: UUID) -> bool:
        """Whether somebody has yet to decide on one for an invoice."""
        undecided = select(cls.status).where(cls.invoice_id == invoice_id, cls.status == "requested")
        return await session.scalar(undecided) is not None

    def decide(self, to: RequestStatus, by: str) -> None:
        """Raises RequestCannotBecome."""
        self.status = rules.REQUEST.moved(self.status, to)
        self.decided_by, self.decided_at = by, clock.now()


def _one_undecided(table: str) -> Index:
    return Index(f"{table}_undecided_idx", "invoice_id", unique=True, postgresql_where=text("status = 'requested'"))


class WriteOffRequest(Request):
    """Somebody asks that an invoice be given up; somebody else decides."""

    __tablename__ = "write_off_requests"
    __table_args__ = (_one_undecided("write_off_requests"),)

    request_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)


class CreditNoteRequest(Request):
    """Somebody asks that a part of an invoice be taken back; somebody else decides."""

    __tablename__ = "credit_note_requests"
    __table_args__ = (_one_undecided("credit_note_requests"),)

    credit_note_request_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
