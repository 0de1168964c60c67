"""What the simulated provider has: payments, refunds, disputes, each as its answers and webhooks show it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

PaymentStatus = Literal["authorised", "partially_captured", "captured", "declined", "cancelled"]
RefundStatus = Literal["pending", "succeeded", "failed"]
DisputeStatus = Literal["opened", "under_review", "won", "lost"]

DECLINES: Mapping[str, str] = {"tok_declined": "card_declined", "tok_insufficient_funds": "insufficient_funds"}
"""Tokens that are refused, and the decline code."""

CAPTURE_DECLINES: Mapping[str, str] = {"tok_capture_declined": "expired_card"}
REFUND_DECLINES: Mapping[str, str] = {"tok_refund_declined": "card_account_closed"}
DISPUTED = frozenset({"tok_dispute", "tok_dispute_reversed"})

VERDICTS: Mapping[str, DisputeStatus] = {"winning_evidence": "won", "losing_evidence": "lost"}
"""Evidence that decides a dispute at once, as in Stripe's tests (https://docs.stripe.com/testing#disputes)."""

TOKENS = frozenset(
    {
        *DECLINES,
        *CAPTURE_DECLINES,
        *REFUND_DECLINES,
        *DISPUTED,
        "tok_visa",
        "tok_slow",
        "tok_lost_answer",
        "tok_lost_answer_and_webhook",
        "tok_duplicate_webhook",
        "tok_webhook_first",
        "tok_webhook_reversed",
        "tok_refund_pending",
    }
)


@dataclass(slots=True)
class Payment:
    """A payment. `reference` is what the merchant calls it, `account` whom of the merchant's it is for."""

    id: str
    reference: str
    amount: Decimal
    currency: str
    token: str
    account: str
    status: PaymentStatus
    decline_code: str | None = None
    captured: Decimal = Decimal(0)
    refunded: Decimal = Decimal(0)

    def shown(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {
            "object": "payment",
            "id": self.id,
            "reference": self.reference,
            "amount": str(self.amount),
            "captured_amount": str(self.captured),
            "currency": self.currency,
            "status": self.status,
            "decline_code": self.decline_code,
        }


@dataclass(slots=True)
class Refund:
    """Money of a payment that goes back. `reference` is what the merchant calls it."""

    id: str
    reference: str
    payment: Payment
    amount: Decimal
    status: RefundStatus
    failure_code: str | None = None

    def shown(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {
            "object": "refund",
            "id": self.id,
            "reference": self.payment.reference,
            "refund_reference": self.reference,
            "amount": str(self.amount),
            "currency": self.payment.currency,
            "status": self.status,
            "failure_code": self.failure_code,
        }


@dataclass(slots=True)
class Dispute:
    """A payment that its payer did not mean, as they say."""

    id: str
    payment: Payment
    amount: Decimal
    evidence_due_at: datetime
    status: DisputeStatus = "opened"
    evidence: list[str] = field(default_factory=list)

    def shown(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {
            "object": "dispute",
            "id": self.id,
            "reference": self.payment.reference,
            "amount": str(self.amount),
            "currency": self.payment.currency,
            "reason": "fraudulent",
            "status": self.status,
            "evidence_due_at": self.evidence_due_at.isoformat(),
        }


Thing = Payment | Refund | Dispute


def event_of(thing: Thing) -> dict[str, Any]:
    """The webhook's body that tells of the thing's present state."""
    shown = thing.shown()
    seed = f"{thing.id} {thing.status} {shown.get('captured_amount')}"
    return {"id": id_of("evt", seed), "type": f"{shown['object']}.{thing.status}", "data": shown}


def id_of(prefix: str, seed: str) -> str:
    """An id that is the same in every run."""
    return f"{prefix}_{hashlib.sha256(seed.encode()).hexdigest()[:24]}"
