"""What several requests ask for."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import AfterValidator, Field

from contracts.money import Money


def _above_zero(money: Money) -> Money:
    if money.amount <= 0:
        raise ValueError("the amount must be above zero")
    return money


def _not_negative(money: Money) -> Money:
    if money.amount < 0:
        raise ValueError("the amount cannot be negative")
    return money


AboveZero = Annotated[Money, AfterValidator(_above_zero)]
NotNegative = Annotated[Money, AfterValidator(_not_negative)]
Code = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[\w.\-]+$")]
Day = Annotated[date, Field(ge=date(1900, 1, 1), le=date(2999, 12, 31))]
Reason = Annotated[str, Field(min_length=1, max_length=500)]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$", description="ISO 4217")]
