"""What a service costs: the facility's price of the day."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Literal, Protocol

from broker import LifeCycle
from contracts.money import Money
from services.billing.errors import ChargeCannotBecome, OnlyAHeldChargeIsDecided, PriceEndsBeforeItBegins

ChargeStatus = Literal["unpriced", "open", "invoiced", "held", "withdrawn"]

CHARGE = LifeCycle[ChargeStatus](
    {
        "unpriced": {"open"},
        "open": {"invoiced", "held"},
        "invoiced": {"open", "held"},
        "held": {"open", "withdrawn"},
        "withdrawn": set(),
    },
    refused=ChargeCannotBecome,
)
"""A charge of a voided invoice is open again. One of an encounter that did not take place is held: nobody is asked for it
until a person has decided whether the service was given all the same."""


def check_held(status: ChargeStatus) -> None:
    """Raises OnlyAHeldChargeIsDecided."""
    if status != "held":
        raise OnlyAHeldChargeIsDecided(state=status)


class Priced(Protocol):
    """A price and the days on which it applies."""

    @property
    def effective_from(self) -> date: ...
    @property
    def effective_to(self) -> date | None: ...
    @property
    def price(self) -> Money: ...


def price_on(day: date, prices: Iterable[Priced]) -> Money | None:
    """The price of a service given on `day`: the one that began last and has not ended; None when there is none."""
    begun = [price for price in prices if price.effective_from <= day]
    if not begun:
        return None
    latest = max(begun, key=lambda price: price.effective_from)
    return latest.price if latest.effective_to is None or day <= latest.effective_to else None


def check_period(effective_from: date, effective_to: date | None) -> None:
    """Raises PriceEndsBeforeItBegins."""
    if effective_to is not None and effective_to < effective_from:
        raise PriceEndsBeforeItBegins(effective_from=effective_from, effective_to=effective_to)
