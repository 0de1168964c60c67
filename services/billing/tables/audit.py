"""Who decided what about money. Rows are only ever added: the database refuses to change or delete one."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Literal, Self
from uuid import UUID, uuid4

from sqlalchemy.orm import Mapped, mapped_column

from broker import clock
from contracts.money import Money
from services.billing.tables.base import Base
from services.billing.tables.insurance import InsuranceClaim
from services.billing.tables.invoices import Invoice

Action = Literal[
    "invoice_voided",
    "charge_released",
    "charge_withdrawn",
    "adjustment_posted",
    "written_off",
    "write_off_requested",
    "write_off_approved",
    "write_off_refused",
    "credit_note_requested",
    "credit_note_approved",
    "credit_note_refused",
    "credit_note_issued",
    "credit_applied",
    "coupon_redeemed",
    "claim_drafted",
    "claim_completed",
    "claim_submitted",
    "claim_accepted",
    "claim_rejected",
    "claim_denied",
    "claim_appealed",
    "remittance_posted",
    "sent_to_collections",
    "recalled_from_collections",
]


class BillingAuditEntry(Base):
    """One decision of a person about money."""

    __tablename__ = "billing_audit_log"

    entry_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    decided_at: Mapped[datetime]
    decided_by: Mapped[str]
    action: Mapped[Action]
    facility_id: Mapped[UUID]
    patient_id: Mapped[UUID] = mapped_column(index=True)
    invoice_id: Mapped[UUID | None] = mapped_column(index=True)
    amount: Mapped[Decimal]
    currency: Mapped[str]

    @classmethod
    def about(cls, invoice: Invoice, action: Action, by: str, amount: Money) -> Self:
        """A decision about an invoice."""
        return cls.of(action, by, amount, invoice.facility_id, invoice.patient_id, invoice.invoice_id)

    @classmethod
    def on_claim(cls, claim: InsuranceClaim, action: Action, by: str) -> Self:
        """What a person asks a payer for, or what the payer decided, as a person took it down."""
        return cls.of(action, by, claim.total, claim.facility_id, claim.patient_id, claim.invoice_id)

    @classmethod
    def of(
        cls, action: Action, by: str, amount: Money, facility_id: UUID, patient_id: UUID, invoice_id: UUID | None = None
    ) -> Self:
        """A decision about a patient's account."""
        return cls(
            decided_at=clock.now(),
            decided_by=by,
            action=action,
            facility_id=facility_id,
            patient_id=patient_id,
            invoice_id=invoice_id,
            amount=amount.amount,
            currency=amount.currency,
        )
