"""Insurance: patients' policies, and what their payers are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Self
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, Index, UniqueConstraint, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column, relationship

from contracts.money import Money
from services.billing import rules
from services.billing.rules import ClaimStatus, CoverageOrder
from services.billing.tables.base import Base, FollowsMerges


class InsurancePolicy(FollowsMerges, Base):
    """Who pays for a patient, and when. The primary payer is asked first."""

    __tablename__ = "insurance_policies"

    policy_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    patient_id: Mapped[UUID] = mapped_column(index=True)
    facility_id: Mapped[UUID]
    payer: Mapped[str]
    policy_number: Mapped[str]
    coverage_order: Mapped[CoverageOrder]
    effective_from: Mapped[date]
    effective_to: Mapped[date | None]


class ClaimLineItem(Base):
    """What a claim asks for one line of an invoice, and what the payer says to it."""

    __tablename__ = "claim_line_items"
    __table_args__ = (UniqueConstraint("claim_id", "position"),)

    claim_line_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    claim_id: Mapped[UUID] = mapped_column(ForeignKey("insurance_claims.claim_id"))
    line_id: Mapped[UUID] = mapped_column(ForeignKey("invoice_line_items.line_id"))
    position: Mapped[int] = mapped_column(comment="of the line on its invoice")
    code: Mapped[str]
    amount: Mapped[Decimal]
    currency: Mapped[str]
    paid_amount: Mapped[Decimal | None]
    contractual_amount: Mapped[Decimal | None] = mapped_column(comment="ANSI X12 835 CO: nobody is asked for it")
    patient_amount: Mapped[Decimal | None] = mapped_column(comment="ANSI X12 835 PR: the patient is asked for it")

    @property
    def claimed(self) -> Money:
        """What the payer is asked for."""
        return Money(amount=self.amount, currency=self.currency)

    def answer(self, answer: rules.RemittedLine) -> None:
        """Takes down what the payer says."""
        self.paid_amount = answer.paid.amount
        self.contractual_amount = answer.contractual.amount
        self.patient_amount = answer.patient_responsibility.amount


class InsuranceClaim(FollowsMerges, Base):
    """A provider asks a payer for its share of an invoice."""

    __tablename__ = "insurance_claims"

    claim_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    invoice_id: Mapped[UUID] = mapped_column(ForeignKey("invoices.invoice_id"))
    policy_id: Mapped[UUID] = mapped_column(ForeignKey("insurance_policies.policy_id"), index=True)
    patient_id: Mapped[UUID] = mapped_column(index=True)
    facility_id: Mapped[UUID]
    coverage_order: Mapped[CoverageOrder]
    status: Mapped[ClaimStatus]
    diagnosis_codes: Mapped[list[str]] = mapped_column(comment="ICD-10-CM")
    total_amount: Mapped[Decimal]
    currency: Mapped[str]
    reason: Mapped[str | None] = mapped_column(comment="why it was rejected, denied or appealed last")
    submitted_at: Mapped[datetime | None]
    decided_at: Mapped[datetime | None]

    lines: Mapped[list[ClaimLineItem]] = relationship(lazy="selectin", order_by=ClaimLineItem.position)

    @property
    def total(self) -> Money:
        """What the payer is asked for."""
        return Money(amount=self.total_amount, currency=self.currency)

    @classmethod
    async def of_invoice(cls, session: AsyncSession, invoice_id: UUID) -> Sequence[Self]:
        """The claims on an invoice that were not rejected."""
        query = select(cls).where(cls.invoice_id == invoice_id, cls.status != "rejected")
        return (await session.scalars(query.order_by(cls.claim_id))).all()

    def move(self, to: ClaimStatus) -> None:
        """Changes its state. Raises ClaimCannotBecome."""
        self.status = rules.CLAIM.moved(self.status, to)


Index(
    "insurance_claims_one_at_a_time_idx",
    InsuranceClaim.invoice_id,
    InsuranceClaim.policy_id,
    unique=True,
    postgresql_where=InsuranceClaim.status != "rejected",
)
