"""What the card provider speaks of, in its answers and in its webhooks: payments, refunds, disputes."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field

from contracts.money import Money
from services.payment.providers.provider import CARD, Notice
from services.payment.rules import Decision, DisputeOutcome, DisputeWord, RefundOutcome, RefundWord, Word

Id = Annotated[str, Field(min_length=1, max_length=200)]
Code = Annotated[str, Field(max_length=100)]
Amount = Annotated[Decimal, Field(ge=0, max_digits=14, decimal_places=2)]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]


class PaymentObject(BaseModel):
    """One of its payments; `reference` is ours. `captured_amount` is missing where all or nothing was."""

    object: Literal["payment"] = "payment"
    id: Id
    reference: UUID
    status: Decision
    captured_amount: Amount | None = None
    currency: Currency = "USD"
    decline_code: Code | None = None

    def word(self) -> Word:
        """What it means to us."""
        captured = None if self.captured_amount is None else Money.of(self.captured_amount, self.currency)
        return Word(outcome=self.status, provider_payment_id=self.id, captured=captured, decline_code=self.decline_code)


class RefundObject(BaseModel):
    """One of its refunds; `reference` is our payment, `refund_reference` our refund."""

    object: Literal["refund"]
    id: Id
    reference: UUID
    refund_reference: UUID
    status: RefundOutcome
    failure_code: Code | None = None

    def word(self) -> RefundWord:
        """What it means to us."""
        return RefundWord(outcome=self.status, provider_refund_id=self.id, failure_code=self.failure_code)


class DisputeObject(BaseModel):
    """One of its disputes; `reference` is our payment."""

    object: Literal["dispute"]
    id: Id
    reference: UUID
    status: DisputeOutcome
    amount: Annotated[Amount, Field(gt=0)]
    currency: Currency
    reason: Code
    evidence_due_at: AwareDatetime

    def word(self) -> DisputeWord:
        """What it means to us."""
        return DisputeWord(
            outcome=self.status,
            provider_dispute_id=self.id,
            amount=Money.of(self.amount, self.currency),
            reason=self.reason,
            evidence_due_at=self.evidence_due_at,
        )


class UnknownObject(BaseModel):
    """Something else, or in a state that we do not know; `reference` is our payment."""

    reference: UUID


class CardEvent(BaseModel):
    """A webhook of the card provider. What we do not know is taken, and ignored: it need not be sent again."""

    id: Id
    type: Code
    data: Annotated[PaymentObject | RefundObject | DisputeObject | UnknownObject, Field(union_mode="left_to_right")]

    def notice(self) -> Notice:
        """What it means to us; a type that does not name its object's state says nothing."""
        data = self.data
        return Notice(
            provider=CARD,
            event_id=self.id,
            type=self.type,
            payment_id=data.reference,
            word=self._word(),
            refund_id=data.refund_reference if isinstance(data, RefundObject) else None,
        )

    def _word(self) -> Word | RefundWord | DisputeWord | None:
        if isinstance(self.data, UnknownObject) or self.type != f"{self.data.object}.{self.data.status}":
            return None
        return self.data.word()
