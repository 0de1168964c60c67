"""What was found out of lost payments, as the API takes and gives it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from broker import Asked, Shown
from contracts.money import Money
from services.payment.rules import TraceStatus


class Found(Asked):
    """A payment in the provider's books: what it is called there (M-Pesa: CheckoutRequestID), and how much was paid."""

    provider_payment_id: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[\w\-]+$")]
    amount: Money


class NewTrace(Asked):
    """What was found in the provider's books; null is that nobody paid."""

    found: Found | None


class Trace(Shown):
    """What somebody found out of a lost payment; without `provider_payment_id`, that nobody paid."""

    trace_id: UUID
    payment_id: UUID
    facility_id: UUID
    provider_payment_id: str | None
    status: TraceStatus
    traced_by: str
    traced_at: datetime
    decided_by: str | None
    decided_at: datetime | None
