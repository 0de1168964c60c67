"""Coupons: until when, how often and together with what they lower an invoice, and by how much."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from decimal import Decimal
from typing import Literal, Protocol

from broker import LifeCycle
from contracts.money import Money
from services.billing.errors import (
    CouponCannotBecome,
    CouponEndsBeforeItBegins,
    CouponIsAmountOrPercent,
    CouponIsNotActive,
    CouponIsNotValidToday,
    CouponsDoNotStack,
    InvoiceIsInAnotherCurrency,
    NothingIsLeftToDiscount,
    PatientUsedTheCouponUp,
)

CouponStatus = Literal["active", "exhausted", "expired", "revoked"]
Stacking = Literal["exclusive", "stackable"]
"""An exclusive coupon is the only one of its invoice."""

COUPON = LifeCycle[CouponStatus](
    {
        "active": {"exhausted", "expired", "revoked"},
        "exhausted": set(),
        "expired": set(),
        "revoked": set(),
    },
    refused=CouponCannotBecome,
)


class Coupon(Protocol):
    """What a coupon is worth, and to whom."""

    @property
    def status(self) -> CouponStatus: ...
    @property
    def stacking(self) -> Stacking: ...
    @property
    def valid_from(self) -> date: ...
    @property
    def valid_to(self) -> date: ...
    @property
    def percent(self) -> Decimal | None: ...
    @property
    def fixed(self) -> Money | None: ...
    @property
    def most_per_patient(self) -> int | None: ...


def check_terms(percent: Decimal | None, fixed: Money | None, valid_from: date, valid_to: date) -> None:
    """Raises CouponIsAmountOrPercent, CouponEndsBeforeItBegins."""
    if (percent is None) is (fixed is None):
        raise CouponIsAmountOrPercent
    if valid_to < valid_from:
        raise CouponEndsBeforeItBegins(valid_from=valid_from, valid_to=valid_to)


def check_redeemable(coupon: Coupon, today: date, used_by_patient: int, on_invoice: Collection[Stacking]) -> None:
    """on_invoice: the coupons redeemed on the invoice before.

    Raises CouponIsNotActive, CouponIsNotValidToday, PatientUsedTheCouponUp, CouponsDoNotStack.
    """
    if coupon.status != "active":
        raise CouponIsNotActive(state=coupon.status)
    if not coupon.valid_from <= today <= coupon.valid_to:
        raise CouponIsNotValidToday(valid_from=coupon.valid_from, valid_to=coupon.valid_to)
    if coupon.most_per_patient is not None and used_by_patient >= coupon.most_per_patient:
        raise PatientUsedTheCouponUp(most=coupon.most_per_patient)
    if on_invoice and "exclusive" in {coupon.stacking, *on_invoice}:
        raise CouponsDoNotStack


def discount(coupon: Coupon, total: Money, balance: Money) -> Money:
    """What it takes off: its part of the total, rounded half to even, or its amount; never more than is open.

    Raises NothingIsLeftToDiscount, InvoiceIsInAnotherCurrency.
    """
    if coupon.fixed is not None and coupon.fixed.currency != total.currency:
        raise InvoiceIsInAnotherCurrency(currency=total.currency)
    worth = coupon.fixed if coupon.fixed is not None else total * (Decimal(coupon.percent or 0) / 100)
    if not min(worth, balance):
        raise NothingIsLeftToDiscount
    return min(worth, balance)
