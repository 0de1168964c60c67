"""What payment publishes: what was tried to be paid, and what came of it.

`invoice_id` is the invoice that the payer named; null is money paid on account.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal
from uuid import UUID

from contracts.event import Event, StateEvent
from contracts.money import Money

PaymentMethod = Literal["card", "cash", "bank_transfer", "insurance", "mobile_money", "wallet", "digital_asset"]
PaymentStatus = Literal[
    "requires_method",
    "requires_action",
    "processing",
    "requires_capture",
    "partially_captured",
    "succeeded",
    "failed",
    "cancelled",
]


class PaymentInitiated(Event, name="payment.initiated", version=1, key="payment_id"):
    """Somebody means to pay an invoice."""

    payment_id: UUID
    invoice_id: UUID | None
    patient_id: UUID
    facility_id: UUID
    amount: Money
    method: PaymentMethod


class PaymentAuthorized(Event, name="payment.authorized", version=1, key="payment_id"):
    """The provider holds the money for us."""

    payment_id: UUID
    invoice_id: UUID | None
    patient_id: UUID
    facility_id: UUID
    amount: Money


class PaymentSucceeded(Event, name="payment.succeeded", version=1, key="payment_id"):
    """The money is ours."""

    payment_id: UUID
    invoice_id: UUID | None
    patient_id: UUID
    facility_id: UUID
    amount: Money
    method: PaymentMethod
    succeeded_at: datetime


class PaymentFailed(Event, name="payment.failed", version=1, key="payment_id"):
    """The provider refused; `reason` is its decline code."""

    payment_id: UUID
    invoice_id: UUID | None
    patient_id: UUID
    facility_id: UUID
    amount: Money
    reason: str


class PaymentCancelled(Event, name="payment.cancelled", version=1, key="payment_id"):
    """It was given up before any money moved."""

    payment_id: UUID
    invoice_id: UUID | None
    patient_id: UUID
    facility_id: UUID
    amount: Money


class PaymentChanged(StateEvent, name="payment.changed", version=1, key="payment_id"):
    """All that others may know of a payment; feeds their references."""

    payment_id: UUID
    invoice_id: UUID | None
    patient_id: UUID
    facility_id: UUID
    amount: Money
    method: PaymentMethod
    status: PaymentStatus


class RefundSucceeded(Event, name="refund.succeeded", version=1, key="refund_id"):
    """Money went back to the payer."""

    refund_id: UUID
    payment_id: UUID
    invoice_id: UUID | None
    patient_id: UUID
    facility_id: UUID
    amount: Money
    succeeded_at: datetime


class RefundFailed(Event, name="refund.failed", version=1, key="refund_id"):
    """The provider did not give the money back; `reason` is its code."""

    refund_id: UUID
    payment_id: UUID
    invoice_id: UUID | None
    patient_id: UUID
    facility_id: UUID
    amount: Money
    reason: str


class _Dispute(Event):
    """What is at stake when a payer tells their bank that they did not mean to pay."""

    dispute_id: UUID
    payment_id: UUID
    invoice_id: UUID | None
    patient_id: UUID
    facility_id: UUID
    amount: Money


class DisputeOpened(_Dispute, name="dispute.opened", version=1, key="dispute_id"):
    """A payer's bank wants the money back; until it is decided, the money is on hold."""

    evidence_due_at: datetime


class DisputeWon(_Dispute, name="dispute.won", version=1, key="dispute_id"):
    """The money stays ours."""


class DisputeLost(_Dispute, name="dispute.lost", version=1, key="dispute_id"):
    """The money is the payer's again."""


class _Instalment(Event):
    """One part of an invoice that is paid in parts."""

    plan_id: UUID
    number: int
    """1, 2, 3, …"""
    invoice_id: UUID
    patient_id: UUID
    facility_id: UUID
    amount: Money
    due_on: date


class InstallmentDue(_Instalment, name="installment.due", version=1, key="plan_id"):
    """The day of an instalment has come."""


class InstallmentOverdue(_Instalment, name="installment.overdue", version=1, key="plan_id"):
    """An instalment was not paid in time."""


class InstallmentPlanCompleted(Event, name="installment.plan.completed", version=1, key="plan_id"):
    """Every instalment is paid."""

    plan_id: UUID
    invoice_id: UUID
    patient_id: UUID
    facility_id: UUID
    completed_at: datetime


class InstallmentPlanDefaulted(Event, name="installment.plan.defaulted", version=1, key="plan_id"):
    """The payer has missed too many instalments: the rest is due at once."""

    plan_id: UUID
    invoice_id: UUID
    patient_id: UUID
    facility_id: UUID
    open_amount: Money
    defaulted_at: datetime


class InstallmentCheckDue(Event, name="installment.check_due", version=1, key="plan_id"):
    """An instalment's day, or the end of its grace, has come; payment tells itself, to look what was paid."""

    plan_id: UUID
    number: int


class PaymentCheckDue(Event, name="payment.check_due", version=1, key="payment_id"):
    """The payer should have agreed by now; payment tells itself, to ask the provider. `attempt` is 1, 2, 3, …"""

    payment_id: UUID
    attempt: int


class StellarPollDue(Event, name="stellar.poll_due", version=1, key="provider"):
    """It is time to read on in the ledger; payment tells itself."""

    provider: str


class PaymentReconciliationMismatched(Event, name="payment.reconciliation.mismatched", version=1, key="reconciliation_id"):
    """A provider's settlement and our books differ in this payment; one that we do not know has no `payment_id`."""

    reconciliation_id: UUID
    provider: str
    provider_payment_id: str
    payment_id: UUID | None
    facility_id: UUID | None
    ours: Money | None
    theirs: Money | None
