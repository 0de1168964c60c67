"""What the simulated provider knows: its payments, and its answers by idempotency key. In memory only."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

Status = Literal["authorised", "captured", "declined"]

DECLINES: Mapping[str, str] = {"tok_declined": "card_declined", "tok_insufficient_funds": "insufficient_funds"}
"""Tokens that are refused, and the decline code."""

CAPTURE_DECLINES: Mapping[str, str] = {"tok_capture_declined": "expired_card"}

TOKENS = frozenset(
    {
        *DECLINES,
        *CAPTURE_DECLINES,
        "tok_visa",
        "tok_slow",
        "tok_lost_answer",
        "tok_lost_answer_and_webhook",
        "tok_duplicate_webhook",
        "tok_webhook_first",
        "tok_webhook_reversed",
    }
)


class KeyUsedForAnotherRequest(Exception):
    """The idempotency key came with another request before."""


class NoSuchPayment(Exception):
    """The provider has no payment of this id."""


class NoSuchToken(Exception):
    """No card is behind this token."""


@dataclass(slots=True)
class Payment:
    """A payment, as the provider sees it. `reference` is what the merchant calls it."""

    id: str
    reference: str
    amount: Decimal
    currency: str
    token: str
    status: Status
    decline_code: str | None = None

    def shown(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {
            "id": self.id,
            "reference": self.reference,
            "amount": str(self.amount),
            "currency": self.currency,
            "status": self.status,
            "decline_code": self.decline_code,
        }


@dataclass(frozen=True, slots=True)
class Answer:
    """What was said to a request; `is_new` tells the first time from a repetition, which has no effect."""

    payment: Payment
    status_code: int
    body: dict[str, Any]
    is_new: bool


@dataclass(slots=True)
class Ledger:
    """Every id follows from the request's idempotency key: the same requests make the same payments, in every run."""

    payments: dict[str, Payment] = field(default_factory=dict)
    _answers: dict[str, tuple[str, Answer]] = field(default_factory=dict)

    def authorise(self, key: str, *, reference: str, amount: Decimal, currency: str, token: str) -> Answer:
        """Holds the amount, or refuses. Raises NoSuchToken, KeyUsedForAnotherRequest."""
        asked = f"authorise {reference} {amount} {currency} {token}"
        if known := self._known(key, asked):
            return known
        if token not in TOKENS:
            raise NoSuchToken
        declined = DECLINES.get(token)
        status: Status = "declined" if declined else "authorised"
        payment = Payment(_id("pay", key), reference, amount, currency, token, status, declined)
        self.payments[payment.id] = payment
        return self._answer(key, asked, payment)

    def capture(self, key: str, payment_id: str) -> Answer:
        """Takes what is held; once, however often it is asked. Raises NoSuchPayment, KeyUsedForAnotherRequest."""
        asked = f"capture {payment_id}"
        if known := self._known(key, asked):
            return known
        payment = self.payment(payment_id)
        if payment.status == "authorised":
            payment.decline_code = CAPTURE_DECLINES.get(payment.token)
            payment.status = "declined" if payment.decline_code else "captured"
        return self._answer(key, asked, payment)

    def answered(self, key: str) -> Answer | None:
        """What was said to the request with this key; None when it never came."""
        return self._answers[key][1] if key in self._answers else None

    def payment(self, payment_id: str) -> Payment:
        """Raises NoSuchPayment."""
        if payment_id not in self.payments:
            raise NoSuchPayment
        return self.payments[payment_id]

    def _known(self, key: str, asked: str) -> Answer | None:
        if key not in self._answers:
            return None
        earlier, answer = self._answers[key]
        if earlier != asked:
            raise KeyUsedForAnotherRequest
        return Answer(answer.payment, answer.status_code, answer.body, is_new=False)

    def _answer(self, key: str, asked: str, payment: Payment) -> Answer:
        answer = Answer(payment, 402 if payment.status == "declined" else 200, payment.shown(), is_new=True)
        self._answers[key] = (asked, answer)
        return answer


def event_of(payment: Payment) -> dict[str, Any]:
    """The webhook's body that tells of the payment's present state."""
    return {
        "id": _id("evt", f"{payment.id} {payment.status}"),
        "type": f"payment.{payment.status}",
        "data": payment.shown(),
    }


def _id(prefix: str, seed: str) -> str:
    return f"{prefix}_{hashlib.sha256(seed.encode()).hexdigest()[:24]}"
