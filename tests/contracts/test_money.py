"""Money: exact, in one currency."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts.money import CurrencyMismatch, Money

amounts = st.decimals(min_value=-1_000_000, max_value=1_000_000, places=2, allow_nan=False).map(Money.of)


@given(amounts, amounts)
def test_adding_and_taking_away_gives_the_same_back(one: Money, other: Money) -> None:
    """No cent is lost between two operations."""
    assert one + other - other == one


@given(st.lists(amounts))
def test_a_total_does_not_depend_on_the_order(many: list[Money]) -> None:
    """Sums are exact, so that their order does not matter."""
    assert Money.total(many) == Money.total(reversed(many))


@given(amounts)
def test_json_carries_the_amount_unchanged(money: Money) -> None:
    """The amount travels as a string."""
    assert Money.model_validate_json(money.model_dump_json()) == money
    assert '"amount":"' in money.model_dump_json()


@pytest.mark.parametrize(("given_", "kept"), [("0.125", "0.12"), ("0.135", "0.14"), ("2.5", "2.50"), ("-0.125", "-0.12")])
def test_halves_go_to_the_even_cent(given_: str, kept: str) -> None:
    """Banker's rounding: halves do not drift upwards over many invoices."""
    assert Money.of(given_).amount == Decimal(kept)


def test_currencies_do_not_mix() -> None:
    """Adding pounds to dollars is an error, not a number."""
    with pytest.raises(CurrencyMismatch):
        Money.of(1, "USD") + Money.of(1, "SSP")


def test_a_currency_is_three_letters() -> None:
    """ISO 4217 codes only."""
    with pytest.raises(ValidationError):
        Money(amount=Decimal(1), currency="dollars")
