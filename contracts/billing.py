"""What billing publishes: invoices and what becomes of them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from contracts.event import Event, Personal, StateEvent
from contracts.money import Money

InvoiceStatus = Literal["draft", "issued", "partially_paid", "paid", "overdue", "void", "written_off"]
InvoiceKind = Literal["patient", "utility", "booking"]
CollectionStatus = Literal["open", "settled", "recalled"]
CollectionReason = Literal["instalments_defaulted", "aged_over_120_days", "by_decision"]


class InvoiceIssued(Event, name="invoice.issued", version=1, key="invoice_id"):
    """An invoice has its number and can be paid."""

    invoice_id: UUID
    patient_id: UUID
    facility_id: UUID
    number: str
    total: Money
    due_on: date
    issued_at: datetime | None = None
    """Long ago for one that was taken over from another system; null where it was said by who did not tell yet."""


class InvoicePartiallyPaid(Event, name="invoice.partially_paid", version=1, key="invoice_id"):
    """Some of the invoice is settled."""

    invoice_id: UUID
    patient_id: UUID
    facility_id: UUID
    amount: Money
    balance: Money
    paid_at: datetime | None = None
    """Long ago for a payment that was taken over from another system; null where it was said by who did not tell."""


class InvoicePaid(Event, name="invoice.paid", version=1, key="invoice_id"):
    """Every line of the invoice is settled."""

    invoice_id: UUID
    patient_id: UUID
    facility_id: UUID
    encounter_id: UUID | None
    amount: Money
    paid_at: datetime


class InvoiceDue(Event, name="invoice.due", version=1, key="invoice_id"):
    """The due date of an invoice passed; billing tells itself, to look whether money is still open."""

    invoice_id: UUID


class InvoiceOverdue(Event, name="invoice.overdue", version=1, key="invoice_id"):
    """The due date passed with money still open."""

    invoice_id: UUID
    patient_id: UUID
    facility_id: UUID
    balance: Money
    due_on: date


class InvoiceVoided(Event, name="invoice.voided", version=1, key="invoice_id"):
    """The invoice never counted; nothing had been paid on it."""

    invoice_id: UUID
    patient_id: UUID
    facility_id: UUID
    reason: str


class InvoiceChanged(StateEvent, name="invoice.changed", version=1, key="invoice_id"):
    """All that others may know of an invoice; feeds their references.

    `payments` are those that named it and that its balance takes into account, whatever they settled.
    """

    invoice_id: UUID
    patient_id: UUID
    facility_id: UUID
    number: str | None
    kind: InvoiceKind
    status: InvoiceStatus
    total: Money
    balance: Money
    due_on: date | None
    payments: tuple[UUID, ...] | None = None


class AdjustmentPosted(Event, name="adjustment.posted", version=1, key="invoice_id"):
    """Part of an invoice will not be asked for; `amount` lowers its balance."""

    adjustment_id: UUID
    invoice_id: UUID
    patient_id: UUID
    facility_id: UUID
    amount: Money
    reason: str


class CreditCreated(Event, name="credit.created", version=1, key="credit_id"):
    """More was paid than was open: the rest is the patient's credit. `invoice_id` is what the payer meant to pay, if any."""

    credit_id: UUID
    patient_id: UUID
    facility_id: UUID
    invoice_id: UUID | None
    payment_id: UUID
    amount: Money
    created_at: datetime | None = None
    """Since when it settles nothing: long ago for a payment that was taken over; null where it was said by who did not tell."""


class InvoiceReopened(Event, name="invoice.reopened", version=1, key="invoice_id"):
    """Money that had settled the invoice is gone again: it was refunded, or a dispute over it was lost."""

    invoice_id: UUID
    patient_id: UUID
    facility_id: UUID
    payment_id: UUID
    balance: Money
    reason: Literal["refund", "dispute_lost"]


class BillingClaimSubmitted(Event, name="billing.claim.submitted", version=1, key="claim_id"):
    """A provider asks a payer for its share of an invoice."""

    claim_id: UUID
    invoice_id: UUID
    patient_id: UUID
    facility_id: UUID
    payer: str
    policy_number: Annotated[str, Personal(of="patient_id")]
    coverage_order: Literal["primary", "secondary"]
    total: Money
    submitted_at: datetime


class CouponRedeemed(Event, name="coupon.redeemed", version=1, key="coupon_id"):
    """A coupon lowered an invoice."""

    coupon_id: UUID
    redemption_id: UUID
    invoice_id: UUID
    patient_id: UUID
    facility_id: UUID
    amount: Money


class CollectionCaseChanged(StateEvent, name="collection_case.changed", version=1, key="case_id"):
    """All that others may know of debts that are given to others to ask for; feeds their references.

    `balance` is what was owed of each of its invoices when that was sent; it grows when another one joins.
    """

    case_id: UUID
    patient_id: UUID
    facility_id: UUID
    status: CollectionStatus
    reason: CollectionReason
    balance: Money
    sent_at: datetime


class BillingAccountSentToCollections(Event, name="billing.account.sent_to_collections", version=1, key="patient_id"):
    """Others will ask for what a patient did not pay."""

    patient_id: UUID
    facility_id: UUID
    balance: Money
    reason: CollectionReason
    sent_at: datetime


class CouponExpiryDue(Event, name="coupon.expiry_due", version=1, key="coupon_id"):
    """The last day of a coupon passed; billing tells itself, to end it."""

    coupon_id: UUID
