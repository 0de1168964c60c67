"""What the simulated provider does, and its answers by idempotency key. In memory only."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from broker import clock
from nilecare.simulator.objects import (
    CAPTURE_DECLINES,
    DECLINES,
    REFUND_DECLINES,
    TOKENS,
    VERDICTS,
    Dispute,
    DisputeStatus,
    Payment,
    PaymentStatus,
    Refund,
    Thing,
    event_of,
    id_of,
)

__all__ = ["CAPTURE_DECLINES", "DECLINES", "TOKENS", "Answer", "Ledger", "event_of"]

TIME_FOR_EVIDENCE = timedelta(days=21)
FEE_SHARE, FEE_FIXED = Decimal("0.029"), Decimal("0.30")
CENT = Decimal("0.01")


class KeyUsedForAnotherRequest(Exception):
    """The idempotency key came with another request before."""


class NothingOfThisId(Exception):
    """The provider has no payment or dispute of this id."""


class NoSuchToken(Exception):
    """No card is behind this token."""


class TooMuch(Exception):
    """More than is held, or than was captured and not refunded."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was said to a request; `is_new` tells the first time from a repetition, which has no effect."""

    about: Thing
    status_code: int
    body: dict[str, Any]
    is_new: bool

    @property
    def token(self) -> str:
        """The card's behind it."""
        return self.about.token if isinstance(self.about, Payment) else self.about.payment.token


@dataclass(slots=True)
class Ledger:
    """Every id follows from the request's idempotency key: the same requests make the same payments, in every run."""

    payments: dict[str, Payment] = field(default_factory=dict)
    refunds: dict[str, Refund] = field(default_factory=dict)
    disputes: dict[str, Dispute] = field(default_factory=dict)
    _answers: dict[str, tuple[str, Answer]] = field(default_factory=dict)

    def authorise(self, key: str, *, reference: str, amount: Decimal, currency: str, token: str, account: str) -> Answer:
        """Holds the amount, or refuses. Raises NoSuchToken, KeyUsedForAnotherRequest."""
        asked = f"authorise {reference} {amount} {currency} {token} {account}"
        if known := self._known(key, asked):
            return known
        if token not in TOKENS:
            raise NoSuchToken
        declined = DECLINES.get(token)
        status: PaymentStatus = "declined" if declined else "authorised"
        payment = Payment(id_of("pay", key), reference, amount, currency, token, account, status, declined)
        self.payments[payment.id] = payment
        return self._answer(key, asked, payment)

    def capture(self, key: str, payment_id: str, amount: Decimal | None = None, *, is_final: bool = True) -> Answer:
        """Takes of what is held; once, however often it is asked. Raises NothingOfThisId, TooMuch, KeyUsedForAnotherRequest."""
        asked = f"capture {payment_id} {amount} {is_final}"
        if known := self._known(key, asked):
            return known
        payment = self.payment(payment_id)
        if payment.status in ("authorised", "partially_captured"):
            _capture(payment, payment.amount - payment.captured if amount is None else amount, is_final=is_final)
        return self._answer(key, asked, payment)

    def cancel(self, key: str, payment_id: str) -> Answer:
        """Lets go of what is held. Raises NothingOfThisId, KeyUsedForAnotherRequest."""
        asked = f"cancel {payment_id}"
        if known := self._known(key, asked):
            return known
        payment = self.payment(payment_id)
        if payment.status in ("authorised", "partially_captured"):
            payment.status = "captured" if payment.captured else "cancelled"
        return self._answer(key, asked, payment)

    def refund(self, key: str, payment_id: str, *, reference: str, amount: Decimal, currency: str) -> Answer:
        """Gives captured money back. Raises NothingOfThisId, TooMuch, KeyUsedForAnotherRequest."""
        asked = f"refund {payment_id} {reference} {amount} {currency}"
        if known := self._known(key, asked):
            return known
        payment = self.payment(payment_id)
        if amount > payment.captured - payment.refunded:
            raise TooMuch
        refund = Refund(id_of("ref", key), reference, payment, amount, "succeeded", REFUND_DECLINES.get(payment.token))
        if refund.failure_code:
            refund.status = "failed"
        else:
            refund.status = "pending" if payment.token == "tok_refund_pending" else "succeeded"  # noqa: S105 (a test card)
            payment.refunded += amount
        self.refunds[refund.id] = refund
        return self._answer(key, asked, refund)

    def dispute(self, payment_id: str) -> Dispute:
        """The payer's bank wants a captured payment back. Raises NothingOfThisId."""
        payment = self.payment(payment_id)
        due_at = clock.now() + TIME_FOR_EVIDENCE
        dispute = Dispute(id_of("dis", payment_id), payment, payment.captured, due_at)
        return self.disputes.setdefault(dispute.id, dispute)

    def take_evidence(self, key: str, dispute_id: str, text: str) -> Answer:
        """Takes the merchant's side to the payer's bank. Raises NothingOfThisId, KeyUsedForAnotherRequest."""
        asked = f"evidence {dispute_id} {text}"
        if known := self._known(key, asked):
            return known
        dispute = self._dispute(dispute_id)
        if dispute.status == "opened":
            dispute.evidence.append(text)
            dispute.status = "under_review"
        return self._answer(key, asked, dispute)

    def decide(self, dispute_id: str, verdict: DisputeStatus | None = None) -> Dispute | None:
        """The payer's bank decides: as it is told here, or by the evidence; None if that tells it nothing."""
        dispute = self._dispute(dispute_id)
        decided = verdict or next((VERDICTS[text] for text in dispute.evidence if text in VERDICTS), None)
        if decided is None:
            return None
        dispute.status = decided
        return dispute

    def settlement(self, account: str) -> list[dict[str, Any]]:
        """What was captured and refunded for an account, and what it cost the merchant."""
        payments = [each for each in self.payments.values() if each.captured and each.account == account]
        refunds = [each for each in self.refunds.values() if each.status == "succeeded" and each.payment.account == account]
        fees = {payment.id: (payment.captured * FEE_SHARE + FEE_FIXED).quantize(CENT) for payment in payments}
        return [
            *(_line("payment", each.id, each.captured, each.currency, fees[each.id]) for each in payments),
            *(_line("refund", each.id, each.amount, each.payment.currency, Decimal("0.00")) for each in refunds),
        ]

    def answered(self, key: str) -> Answer | None:
        """What was said to the request with this key; None when it never came."""
        return self._answers[key][1] if key in self._answers else None

    def payment(self, payment_id: str) -> Payment:
        """Raises NothingOfThisId."""
        if payment_id not in self.payments:
            raise NothingOfThisId
        return self.payments[payment_id]

    def _dispute(self, dispute_id: str) -> Dispute:
        if dispute_id not in self.disputes:
            raise NothingOfThisId
        return self.disputes[dispute_id]

    def _known(self, key: str, asked: str) -> Answer | None:
        if key not in self._answers:
            return None
        earlier, answer = self._answers[key]
        if earlier != asked:
            raise KeyUsedForAnotherRequest
        return replace(answer, is_new=False)

    def _answer(self, key: str, asked: str, about: Thing) -> Answer:
        answer = Answer(about, 402 if about.status in ("declined", "failed") else 200, about.shown(), is_new=True)
        self._answers[key] = (asked, answer)
        return answer


def _capture(payment: Payment, amount: Decimal, *, is_final: bool) -> None:
    if amount > payment.amount - payment.captured:
        raise TooMuch
    payment.decline_code = CAPTURE_DECLINES.get(payment.token)
    if payment.decline_code:
        payment.status = "declined"
        return
    payment.captured += amount
    payment.status = "captured" if is_final or payment.captured == payment.amount else "partially_captured"


def _line(kind: str, id_: str, amount: Decimal, currency: str, fee: Decimal) -> dict[str, Any]:
    return {
        "kind": kind,
        "provider_payment_id": id_,
        "amount": {"amount": str(amount), "currency": currency},
        "fee": {"amount": str(fee), "currency": currency},
    }
