"""How a balance is cut into instalments, and which of them are settled."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.money import Money
from services.payment import rules
from services.payment.errors import FirstInstallmentIsInThePast, InstallmentsAreTooSmall, InvoiceIsBeingPaid

TODAY = date(2026, 1, 31)
NOTHING = Money.of(0)

cents = st.integers(1, 10_000_000).map(lambda amount: Decimal(amount) / 100)
parts = st.lists(cents, min_size=1, max_size=24)


def agreed(balance: str | Decimal, count: int, *, first: date = TODAY, under_way: Money = NOTHING) -> list[rules.Part]:
    return rules.agreed_parts(Money.of(balance), count, first, today=TODAY, under_way=under_way)


@given(balance=cents, count=st.integers(2, 60))
def test_instalments_sum_exactly_to_the_balance(balance: Decimal, count: int) -> None:
    """All but the last are the same; what does not divide is on the last, and it is less than a cent for each other."""
    if balance < Decimal("0.01") * count:
        with pytest.raises(InstallmentsAreTooSmall):
            agreed(balance, count)
        return
    amounts = [part.amount.amount for part in agreed(balance, count)]
    assert sum(amounts) == balance
    assert set(amounts[:-1]) == {amounts[0]}
    assert Decimal(0) <= amounts[-1] - amounts[0] < Decimal("0.01") * count


def test_what_does_not_divide_is_on_the_last() -> None:
    """A third of a hundred, twice; and the rest."""
    assert [str(part.amount.amount) for part in agreed("100.00", 3)] == ["33.33", "33.33", "33.34"]


def test_instalments_are_a_month_apart() -> None:
    """At the end of a month that is too short, and back on the day that was agreed in the next."""
    due = [part.due_on for part in agreed("100.00", 14)]
    assert due[:4] == [date(2026, 1, 31), date(2026, 2, 28), date(2026, 3, 31), date(2026, 4, 30)]
    assert due[-2:] == [date(2027, 1, 31), date(2027, 2, 28)]
    assert rules.months_after(date(2027, 12, 31), 2) == date(2028, 2, 29)


def test_a_plan_begins_today_or_later() -> None:
    """Not yesterday."""
    with pytest.raises(FirstInstallmentIsInThePast):
        agreed("100.00", 2, first=date(2026, 1, 30))


def test_a_plan_is_made_of_a_balance_that_stands_still() -> None:
    """While a payment is under way, nobody knows what will be open."""
    with pytest.raises(InvoiceIsBeingPaid):
        agreed("100.00", 2, under_way=Money.of("0.01"))


@given(amounts=parts, paid=cents)
def test_the_oldest_instalment_is_settled_first(amounts: list[Decimal], paid: Decimal) -> None:
    """Nothing is on an instalment while one before it is open, and no more is spread than there is."""
    settled = rules.settled(amounts, sum(amounts, Decimal(0)) - paid)
    assert sum(settled) == min(paid, sum(amounts))
    begun = [amount for amount, part in zip(amounts, settled, strict=True) if part]
    assert settled[: len(begun) - 1] == begun[:-1]


@given(amounts=parts, open_amount=cents)
def test_what_is_not_settled_of_the_instalments_is_open_on_the_invoice(amounts: list[Decimal], open_amount: Decimal) -> None:
    """To the cent; of an invoice on which more is open, nothing is settled."""
    assert sum(amounts) - sum(rules.settled(amounts, open_amount)) == min(open_amount, sum(amounts))


@given(amounts=parts, paid=cents, returned=cents)
def test_what_went_back_of_earlier_money_is_open_beside_the_plan(
    amounts: list[Decimal], paid: Decimal, returned: Decimal
) -> None:
    """It raises the invoice, and leaves settled what is."""
    left = sum(amounts, Decimal(0)) - paid
    assert rules.settled(amounts, left + returned, returned=returned) == rules.settled(amounts, left)


def test_a_plan_is_given_up_after_so_many_missed_instalments() -> None:
    """Those that are overdue now; one that was paid late is forgiven."""
    assert not rules.is_defaulted(["paid", "overdue", "due"], 2)
    assert rules.is_defaulted(["overdue", "overdue", "scheduled"], 2)
