"""Invoices, as the API takes and shows them."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from broker import Asked, Shown
from contracts.billing import InvoiceKind, InvoiceStatus
from contracts.money import Money
from services.billing.rules import Discretion, ReasonCode, RequestStatus
from services.billing.views.fields import AboveZero, Code, Reason


class NewInvoice(Asked):
    """Whose open charges to invoice: those of an encounter, or those outside any."""

    patient_id: UUID
    facility_id: UUID
    encounter_id: UUID | None = None


class Voiding(Asked):
    """Why an invoice never counted."""

    reason: Reason


class NewAdjustment(Asked):
    """What will not be asked for, and why."""

    amount: AboveZero
    reason_code: Discretion = "other"
    reason: Reason


class NewCreditNote(Asked):
    """What of an invoice is taken back, paid or not, and why."""

    amount: AboveZero
    reason: Reason


class WriteOff(Asked):
    """Why an invoice is given up."""

    reason: Reason


class Redemption(Asked):
    """Which coupon lowers an invoice."""

    code: Code


class InvoiceLine(Shown):
    """A line of an invoice."""

    position: int
    priority: int
    code: str
    description: str
    quantity: Decimal
    amount: Decimal
    balance: Money


class InvoiceSummary(Shown):
    """An invoice without its lines."""

    invoice_id: UUID
    patient_id: UUID
    facility_id: UUID
    encounter_id: UUID | None
    kind: InvoiceKind
    status: InvoiceStatus
    number: str | None
    external_reference: str | None
    total: Money
    allocated: Money
    adjusted: Money
    balance: Money
    on_hold: Money
    issued_at: datetime | None
    due_on: date | None
    paid_at: datetime | None


class Invoice(InvoiceSummary):
    """An invoice."""

    lines: list[InvoiceLine]


class Allocation(Shown):
    """What a payment settled of a line; a negative one says what was reversed of another."""

    allocation_id: UUID
    reverses_id: UUID | None
    payment_id: UUID
    line_id: UUID
    amount: Decimal
    currency: str


class Adjustment(Shown):
    """What will not be asked for."""

    adjustment_id: UUID
    amount: Decimal
    currency: str
    reason_code: ReasonCode
    reason: str
    posted_by: str
    approved_by: str | None
    posted_at: datetime


class CreditNote(Shown):
    """What of an invoice was taken back."""

    credit_note_id: UUID
    invoice_id: UUID
    facility_id: UUID
    number: str
    amount: Decimal
    currency: str
    reason: str
    issued_by: str
    approved_by: str | None
    issued_at: datetime


class Request(Shown):
    """Somebody asked somebody else to decide that an invoice be lowered."""

    invoice_id: UUID
    facility_id: UUID
    status: RequestStatus
    requested: Money
    reason: str
    requested_by: str
    requested_at: datetime
    decided_by: str | None
    decided_at: datetime | None


class WriteOffRequest(Request):
    """Somebody asked that an invoice be given up."""

    request_id: UUID


class CreditNoteRequest(Request):
    """Somebody asked that a part of an invoice be taken back."""

    credit_note_request_id: UUID


class CouponRedemption(Shown):
    """What a coupon took off an invoice."""

    redemption_id: UUID
    coupon_id: UUID
    invoice_id: UUID
    amount: Decimal
    currency: str
    redeemed_at: datetime
