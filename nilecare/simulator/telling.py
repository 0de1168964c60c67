"""What the merchant is told of its own payments, and how badly: by the token of the card."""

from __future__ import annotations

from typing import Any

from nilecare.simulator.ledger import Answer, Ledger
from nilecare.simulator.objects import DISPUTED, Dispute, Payment, Refund, event_of

LOST = frozenset({"tok_lost_answer", "tok_lost_answer_and_webhook"})
"""Cards whose answers break off."""

Events = list[dict[str, Any]]


class Telling:
    """Knows which webhooks follow an answer, and in which order they go out."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._held_back: dict[str, dict[str, Any]] = {}

    def events(self, answer: Answer) -> Events:
        """What the merchant is told after this answer."""
        if answer.token == "tok_lost_answer_and_webhook":  # noqa: S105 (a test card)
            return []
        match answer.about:
            case Payment() as payment:
                return [*self._of_payment(payment), *self._of_disputed(payment)]
            case Refund() as refund:
                return _of_refund(refund)
            case Dispute() as dispute:
                told = event_of(dispute)
                decided = self._ledger.decide(dispute.id)
                return [told, event_of(decided)] if decided else [told]

    def _of_payment(self, payment: Payment) -> Events:
        event = event_of(payment)
        if payment.token != "tok_webhook_reversed":  # noqa: S105 (a test card)
            return [event]
        if payment.status == "authorised":
            self._held_back[payment.id] = event
            return []
        return [event, self._held_back.pop(payment.id)]

    def _of_disputed(self, payment: Payment) -> Events:
        if payment.token not in DISPUTED or payment.status != "captured":
            return []
        dispute = self._ledger.dispute(payment.id)
        opened = event_of(dispute)
        if payment.token == "tok_dispute":  # noqa: S105 (a test card)
            return [opened]
        dispute.status = "lost"
        return [event_of(dispute), opened]


def _of_refund(refund: Refund) -> Events:
    told = event_of(refund)
    if refund.status != "pending":
        return [told]
    refund.status = "succeeded"
    return [told, event_of(refund)]
