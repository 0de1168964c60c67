"""What payment decides without asking anybody: states, amounts, and whose word is news."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from contracts.billing import InvoiceStatus
from contracts.money import Money
from contracts.payment import PaymentMethod, PaymentStatus
from services.payment.errors import (
    AmountIsInAnotherCurrency,
    AmountIsMoreThanTheOpenBalance,
    AmountMustBeAboveZero,
    InvoiceCannotBePaid,
    PaymentCannotBecome,
)

MOVES: Mapping[PaymentStatus, frozenset[PaymentStatus]] = {
    "requires_method": frozenset({"requires_action", "processing", "cancelled"}),
    "requires_action": frozenset({"processing", "requires_capture", "failed", "succeeded", "cancelled"}),
    "processing": frozenset({"requires_capture", "partially_captured", "failed", "succeeded"}),
    "requires_capture": frozenset({"partially_captured", "failed", "succeeded"}),
    "partially_captured": frozenset({"succeeded"}),
    "failed": frozenset({"succeeded"}),
    "succeeded": frozenset(),
    "cancelled": frozenset(),
}
"""Every move goes on, none goes back. A provider that has the money after it refused it is believed: it is not lost."""

RANK: Mapping[PaymentStatus, int] = {
    "requires_method": 0,
    "requires_action": 1,
    "processing": 2,
    "requires_capture": 3,
    "partially_captured": 4,
    "cancelled": 5,
    "failed": 6,
    "succeeded": 7,
}
"""How far along a state is: of all that is said about a payment, in whatever order, the furthest stays."""

UNDER_WAY: frozenset[PaymentStatus] = frozenset(
    {"requires_method", "requires_action", "processing", "requires_capture", "partially_captured"}
)
"""The states in which a payment may still succeed, and so claims its part of the invoice's balance."""

CANCELLABLE: frozenset[PaymentStatus] = frozenset({"requires_method", "requires_action"})
"""The states before the provider was asked for the money."""

PAYABLE: frozenset[InvoiceStatus] = frozenset({"issued", "partially_paid", "overdue"})

Outcome = Literal["authorised", "captured", "declined"]
"""What a card provider says became of a payment."""

STATUS_OF: Mapping[Outcome, PaymentStatus] = {
    "authorised": "requires_capture",
    "captured": "succeeded",
    "declined": "failed",
}

WebhookStatus = Literal["received", "verified", "applied", "ignored"]

WEBHOOK_MOVES: Mapping[WebhookStatus, frozenset[WebhookStatus]] = {
    "received": frozenset({"verified"}),
    "verified": frozenset({"applied", "ignored"}),
    "applied": frozenset(),
    "ignored": frozenset(),
}


def moved(status: PaymentStatus, to: PaymentStatus) -> PaymentStatus:
    """The state after the move. Raises PaymentCannotBecome."""
    if to not in MOVES[status]:
        raise PaymentCannotBecome(status=status, to=to)
    return to


def is_news(status: PaymentStatus, said: PaymentStatus) -> bool:
    """Whether what the provider says takes a payment further; a repetition, or an older word that comes late, does not."""
    return said in MOVES[status]


def check_amount(amount: Money) -> None:
    """Raises AmountMustBeAboveZero."""
    if amount.amount <= 0:
        raise AmountMustBeAboveZero


def check_payable(status: InvoiceStatus, balance: Money, under_way: Money, amount: Money) -> None:
    """Whether an invoice can be paid `amount`, of which other payments may be under way.

    Raises AmountMustBeAboveZero, InvoiceCannotBePaid, AmountIsInAnotherCurrency, AmountIsMoreThanTheOpenBalance.
    """
    check_amount(amount)
    if status not in PAYABLE:
        raise InvoiceCannotBePaid(status=status)
    if amount.currency != balance.currency:
        raise AmountIsInAnotherCurrency(currency=balance.currency)
    if amount > balance - under_way:
        raise AmountIsMoreThanTheOpenBalance(open=max(balance - under_way, Money.of(0, balance.currency)))


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedPayment:
    """Money that somebody took or saw arrive. `reference` is what they call it; `invoice_id` None is money on account."""

    reference: str
    invoice_id: UUID | None
    patient_id: UUID
    facility_id: UUID
    amount: Money
    method: PaymentMethod
    received_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What a provider says became of a payment, in the answer to a call or in a webhook."""

    outcome: Outcome
    provider_payment_id: str
    decline_code: str | None = None
