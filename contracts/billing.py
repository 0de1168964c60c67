"""What billing publishes: invoices and what becomes of them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal
from uuid import UUID

from contracts.event import Event, StateEvent
from contracts.money import Money

InvoiceStatus = Literal["draft", "issued", "partially_paid", "paid", "overdue", "void", "written_off"]
InvoiceKind = Literal["patient", "utility", "booking"]


class InvoiceIssued(Event, name="invoice.issued", version=1, key="invoice_id"):
    """An invoice has its number and can be paid."""

    invoice_id: UUID
    patient_id: UUID
    facility_id: UUID
    number: str
    total: Money
    due_on: date


class InvoicePartiallyPaid(Event, name="invoice.partially_paid", version=1, key="invoice_id"):
    """Some of the invoice is settled."""

    invoice_id: UUID
    patient_id: UUID
    facility_id: UUID
    amount: Money
    balance: Money


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
    """All that others may know of an invoice; feeds their references."""

    invoice_id: UUID
    patient_id: UUID
    facility_id: UUID
    number: str | None
    kind: InvoiceKind
    status: InvoiceStatus
    total: Money
    balance: Money
    due_on: date | None


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
