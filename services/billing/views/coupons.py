"""Coupons, as the API takes and shows them."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from pydantic import Field

from broker import Asked, Shown
from contracts.money import Money
from services.billing.rules import CouponStatus, Stacking
from services.billing.views.fields import AboveZero, Code, Day

Times = Annotated[int, Field(ge=1, le=1_000_000)]


class NewCoupon(Asked):
    """A percentage or an amount off an invoice, from one day to another, so many times."""

    facility_id: UUID
    code: Code
    stacking: Stacking
    percent: Annotated[Decimal, Field(gt=0, le=100, decimal_places=2)] | None = None
    amount: AboveZero | None = None
    valid_from: Day
    valid_to: Day
    most_redemptions: Times
    most_per_patient: Times | None = None


class Coupon(Shown):
    """A coupon, and how often it was redeemed."""

    coupon_id: UUID
    facility_id: UUID
    code: str
    status: CouponStatus
    stacking: Stacking
    percent: Decimal | None
    fixed: Money | None
    valid_from: date
    valid_to: date
    most_redemptions: int
    most_per_patient: int | None
    redemptions: int
