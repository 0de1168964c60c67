"""Payments, as the API takes and gives them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from broker import Asked, Shown
from contracts.money import Money
from contracts.payment import PaymentMethod, PaymentStatus
from services.payment.rules import CaptureMode

Token = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[\w\-]+$")]
"""What the provider's form in the payer's browser gave for a card: no card number comes here."""


class NewCardPayment(Asked):
    """An invoice to be paid by card; the card may come later. Captured by hand, it may become less than was authorised."""

    invoice_id: UUID
    amount: Money
    token: Token | None = None
    capture: CaptureMode = "automatic"


class Card(Asked):
    """The card to pay with."""

    token: Token


class NewWalletPayment(Asked):
    """An invoice to be paid by PayPal."""

    invoice_id: UUID
    amount: Money


class NewMobilePayment(Asked):
    """An invoice to be paid by M-Pesa."""

    invoice_id: UUID
    amount: Money
    phone: Annotated[str, Field(pattern=r"^254[17]\d{8}$", description="in Kenya, without +")]


class NewCapture(Asked):
    """How much to take of what is held: all of it, if nothing is said. What is final releases the rest."""

    amount: Money | None = None
    is_final: bool = True


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
    captured: Money
    method: PaymentMethod
    status: PaymentStatus
    capture: CaptureMode
    reference: str | None
    provider: str | None
    provider_payment_id: str | None
    memo: str | None
    decline_code: str | None
    taken_by: str | None
    verified_by: str | None
    initiated_at: datetime
    succeeded_at: datetime | None
