"""Settlements, what was found in them, and days in figures, as the API takes and gives them."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from pydantic import Field

from broker import Asked, Shown
from contracts.money import Money
from contracts.payment import PaymentMethod
from services.payment.rules import Difference, FindingStatus, SettledKind

Text = Annotated[str, Field(min_length=1, max_length=200)]


class NewSettledLine(Asked):
    """A payment that the provider took, or a refund that it gave; `provider_payment_id` is what it calls either."""

    kind: SettledKind = "payment"
    provider_payment_id: Text
    amount: Money
    fee: Money


class NewSettlement(Asked):
    """What a provider says that it settled for a facility on one of its days."""

    facility_id: UUID
    provider: Text
    day: Annotated[date, Field(ge=date(2000, 1, 1), le=date(2200, 1, 1))]
    lines: Annotated[list[NewSettledLine], Field(max_length=10_000)]


class SettlementTaken(Shown):
    """How many of a settlement's payments and refunds are how."""

    matched: int
    mismatched: int
    resolved: int


class Because(Asked):
    """Why something is as it should be after all."""

    reason: Text


class Finding(Shown):
    """A payment or refund of a settlement, beside our books."""

    reconciliation_id: UUID
    facility_id: UUID
    provider: str
    kind: SettledKind
    provider_payment_id: str
    payment_id: UUID | None
    day: date
    status: FindingStatus
    difference: Difference | None
    ours: Money | None
    theirs: Money | None
    fee: Decimal | None
    resolved_by: str | None
    resolved_because: str | None
    found_at: datetime


class Day(Shown):
    """A facility's payments on one of its days, by method and currency: how many, and how much."""

    facility_id: UUID
    day: date
    method: PaymentMethod
    currency: str
    succeeded: int
    succeeded_amount: Decimal
    failed: int
    failed_amount: Decimal
    refunded: int
    refunded_amount: Decimal
