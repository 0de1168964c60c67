"""What payment's API takes and gives."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from broker import Asked, Shown
from contracts.money import Money
from contracts.payment import PaymentMethod, PaymentStatus
from services.payment.rules import Outcome, Word

Token = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[\w\-]+$")]
"""What the provider's form in the payer's browser gave for a card: no card number comes here."""


class NewCardPayment(Asked):
    """An invoice to be paid by card; the card may come later."""

    invoice_id: UUID
    amount: Money
    token: Token | None = None


class Card(Asked):
    """The card to pay with."""

    token: Token


class NewRecordedPayment(Asked):
    """Money taken at the desk, or seen on the bank's statement."""

    reference: Annotated[str, Field(min_length=1, max_length=200)]
    patient_id: UUID
    facility_id: UUID
    invoice_id: UUID | None = None
    amount: Money
    method: Literal["cash", "bank_transfer", "insurance"]


class Payment(Shown):
    """A payment."""

    payment_id: UUID
    invoice_id: UUID | None
    patient_id: UUID
    facility_id: UUID
    amount: Money
    method: PaymentMethod
    status: PaymentStatus
    reference: str | None
    decline_code: str | None
    initiated_at: datetime
    succeeded_at: datetime | None


class ProviderPayment(BaseModel):
    """One of the card provider's payments, as its webhooks show it; `reference` is our payment."""

    id: Annotated[str, Field(min_length=1, max_length=200)]
    reference: UUID
    status: str
    decline_code: Annotated[str | None, Field(max_length=100)] = None


class ProviderEvent(BaseModel):
    """An event of the card provider. Types that we do not know are taken, and ignored."""

    id: Annotated[str, Field(min_length=1, max_length=200)]
    type: Annotated[str, Field(min_length=1, max_length=100)]
    data: ProviderPayment

    def word(self) -> Word | None:
        """What it says of the payment; None when that is nothing we know."""
        outcome = OUTCOMES.get(self.type)
        if outcome is None:
            return None
        return Word(outcome=outcome, provider_payment_id=self.data.id, decline_code=self.data.decline_code)


OUTCOMES: dict[str, Outcome] = {
    "payment.authorised": "authorised",
    "payment.captured": "captured",
    "payment.declined": "declined",
}
