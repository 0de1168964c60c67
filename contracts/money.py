"""Money: an exact decimal amount in one currency."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, field_validator

CENT = Decimal("0.01")


class CurrencyMismatch(ValueError):
    """Amounts in different currencies cannot be added or compared."""


class Money(BaseModel):
    """An amount in the currency's minor unit (two decimals), rounded half to even.

    In JSON `{"amount": "12.50", "currency": "USD"}`: the amount is a string, so that no reader makes a float of it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    amount: Decimal = Field(max_digits=14)
    currency: str = Field(default="USD", pattern=r"^[A-Z]{3}$", description="ISO 4217")

    @field_validator("amount", mode="after")
    @classmethod
    def _in_minor_units(cls, amount: Decimal) -> Decimal:
        return amount.quantize(CENT, rounding=ROUND_HALF_EVEN)

    @classmethod
    def of(cls, amount: Decimal | int | str, currency: str = "USD") -> Self:
        """The given amount, rounded to the minor unit."""
        return cls(amount=Decimal(amount).quantize(CENT, rounding=ROUND_HALF_EVEN), currency=currency)

    @classmethod
    def total(cls, amounts: Iterable[Money], currency: str = "USD") -> Money:
        """The sum; zero in `currency` when there are none."""
        result: Money | None = None
        for amount in amounts:
            result = amount if result is None else result + amount
        return result if result is not None else cls.of(0, currency)

    def _same(self, other: Money) -> Decimal:
        if other.currency != self.currency:
            raise CurrencyMismatch(f"{self.currency} and {other.currency} cannot be combined")
        return other.amount

    def __add__(self, other: Money) -> Money:
        return Money.of(self.amount + self._same(other), self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money.of(self.amount - self._same(other), self.currency)

    def __mul__(self, factor: Decimal | int) -> Money:
        return Money.of(self.amount * factor, self.currency)

    def __neg__(self) -> Money:
        return Money.of(-self.amount, self.currency)

    def __lt__(self, other: Money) -> bool:
        return self.amount < self._same(other)

    def __le__(self, other: Money) -> bool:
        return self.amount <= self._same(other)

    def __gt__(self, other: Money) -> bool:
        return self.amount > self._same(other)

    def __ge__(self, other: Money) -> bool:
        return self.amount >= self._same(other)

    def __bool__(self) -> bool:
        return self.amount != 0

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"
