"""What payment publishes: what was tried to be paid, and what came of it.

`invoice_id` is the invoice that the payer named; null is money paid on account.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from contracts.event import Event, StateEvent
from contracts.money import Money

PaymentMethod = Literal["card", "cash", "bank_transfer", "insurance", "mobile_money"]
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
