"""Payments: states, amounts, four eyes on cash, and whose word is news."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from broker import LifeCycle
from contracts.billing import InvoiceStatus
from contracts.money import Money
from contracts.payment import PaymentMethod, PaymentStatus
from services.payment.errors import (
    AmountIsInAnotherCurrency,
    AmountIsMoreThanIsHeld,
    AmountIsMoreThanTheOpenBalance,
    AmountMustBeAboveZero,
    CaptureIsUnderWay,
    CashNeedsASecondPerson,
    InvoiceCannotBePaid,
    OnlyCashIsVerified,
    OnlyHeldMoneyIsCaptured,
    PaymentCannotBecome,
    WebhookCannotBecome,
)

PAYMENT = LifeCycle[PaymentStatus](
    {
        "requires_method": {"requires_action", "processing", "cancelled"},
        "requires_action": {"processing", "requires_capture", "failed", "succeeded", "cancelled"},
        "processing": {"requires_capture", "partially_captured", "failed", "succeeded", "cancelled"},
        "requires_capture": {"partially_captured", "failed", "succeeded", "cancelled"},
        "partially_captured": {"partially_captured", "succeeded"},
        "failed": {"succeeded"},
        "succeeded": set(),
        "cancelled": set(),
    },
    refused=PaymentCannotBecome,
)
"""Every move goes on, none goes back; of what was captured in part, more may be captured.

A provider that has the money after it refused it is believed: it is not lost.
"""

UNDER_WAY: frozenset[PaymentStatus] = frozenset(
    {"requires_method", "requires_action", "processing", "requires_capture", "partially_captured"}
)
"""The states in which a payment may still succeed, and so claims its part of the invoice's balance."""

NOT_ASKED_FOR: frozenset[PaymentStatus] = frozenset({"requires_method", "requires_action"})
"""The states before the provider was asked for the money: it is given up without asking anybody."""

HELD: frozenset[PaymentStatus] = frozenset({"requires_capture", "partially_captured"})
"""The states in which the provider holds money for us, to be captured or released."""

PAYABLE: frozenset[InvoiceStatus] = frozenset({"issued", "partially_paid", "overdue"})

CaptureMode = Literal["automatic", "manual"]
"""Whether what is authorised is captured at once, or when somebody asks for it: the final amount may be lower."""

Decision = Literal["authorised", "partially_captured", "captured", "declined", "cancelled"]
"""What a provider says that takes a payment to another state."""

Outcome = Literal["pending", "approved", Decision]
"""What a provider says became of a payment. Pending: the payer has yet to agree, or nobody knows. Approved: the payer has."""

STATUS_OF: Mapping[Outcome, PaymentStatus] = {
    "pending": "processing",
    "approved": "processing",
    "authorised": "requires_capture",
    "partially_captured": "partially_captured",
    "captured": "succeeded",
    "declined": "failed",
    "cancelled": "cancelled",
}

THE_PAYERS_TURN: frozenset[Outcome] = frozenset({"pending", "approved"})
"""What is said before a payment is decided: it stays where it is, and is never taken for failed."""

WebhookStatus = Literal["received", "verified", "applied", "ignored"]

WEBHOOK = LifeCycle[WebhookStatus](
    {"received": {"verified"}, "verified": {"applied", "ignored"}, "applied": set(), "ignored": set()},
    refused=WebhookCannotBecome,
)


class Word(BaseModel):
    """What a provider says became of a payment, in the answer to a call or in a webhook.

    provider_payment_id: theirs; None when it gave none. captured: all that it has taken so far; None is everything, if it was
    captured.
    """

    model_config = ConfigDict(frozen=True)

    outcome: Outcome
    provider_payment_id: str | None = None
    captured: Money | None = None
    decline_code: str | None = None


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


def is_news(status: PaymentStatus, captured: Money, word: Word) -> bool:
    """Whether what a provider says takes a payment further; a repetition, or an older word that comes late, does not."""
    said = STATUS_OF[word.outcome]
    if said == status == "partially_captured":
        return word.captured is not None and word.captured > captured
    return PAYMENT.allows(status, said)


def is_payers_turn(status: PaymentStatus, word: Word, *, is_asked: bool) -> bool:
    """Whether it is news that the payer has yet to agree, or has agreed, to what the provider was asked for."""
    return word.outcome in THE_PAYERS_TURN and status == "processing" and not is_asked


def check_amount(amount: Money) -> None:
    """Raises AmountMustBeAboveZero."""
    if amount.amount <= 0:
        raise AmountMustBeAboveZero


def check_currency(amount: Money, currency: str) -> None:
    """Raises AmountIsInAnotherCurrency."""
    if amount.currency != currency:
        raise AmountIsInAnotherCurrency(currency=currency)


def check_payable(status: InvoiceStatus, balance: Money, under_way: Money, amount: Money) -> None:
    """Whether an invoice can be paid `amount`, of which other payments may be under way.

    Raises AmountMustBeAboveZero, InvoiceCannotBePaid, AmountIsInAnotherCurrency, AmountIsMoreThanTheOpenBalance.
    """
    check_amount(amount)
    check_open(status)
    check_currency(amount, balance.currency)
    if amount > balance - under_way:
        raise AmountIsMoreThanTheOpenBalance(open=max(balance - under_way, Money.of(0, balance.currency)))


def check_open(status: InvoiceStatus) -> None:
    """Raises InvoiceCannotBePaid for an invoice on which nothing is open."""
    if status not in PAYABLE:
        raise InvoiceCannotBePaid(status=status)


def check_takes_a_card(status: PaymentStatus) -> None:
    """A card pays what has nothing to be paid with yet: not cash that is to be counted, nor a transfer that is waited for.

    Raises PaymentCannotBecome.
    """
    if status != "requires_method":
        raise PaymentCannotBecome(state=status, asked="processing")


def check_given_up(status: PaymentStatus) -> None:
    """A payment is given up while nobody was asked for the money, or while it is only held. Raises PaymentCannotBecome."""
    if status not in NOT_ASKED_FOR | HELD:
        raise PaymentCannotBecome(state=status, asked="cancelled")


def check_held(status: PaymentStatus, *, is_asked: bool) -> None:
    """Whether the provider can be asked to capture or to release what it holds.

    is_asked: it was asked before, and has not answered. Raises OnlyHeldMoneyIsCaptured, CaptureIsUnderWay.
    """
    if status not in HELD:
        raise OnlyHeldMoneyIsCaptured(state=status)
    if is_asked:
        raise CaptureIsUnderWay


def check_capture(amount: Money, held: Money) -> None:
    """Raises AmountMustBeAboveZero, AmountIsInAnotherCurrency, AmountIsMoreThanIsHeld."""
    check_amount(amount)
    check_currency(amount, held.currency)
    if amount > held:
        raise AmountIsMoreThanIsHeld(held=held)


def check_second_person(method: PaymentMethod, taken_by: str | None, verified_by: str) -> None:
    """Four eyes: who counts cash is not who took it. Raises OnlyCashIsVerified, CashNeedsASecondPerson."""
    if method != "cash" or taken_by is None:
        raise OnlyCashIsVerified(method=method)
    if taken_by == verified_by:
        raise CashNeedsASecondPerson
