"""Payment's decisions."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.billing import InvoiceStatus
from contracts.money import Money
from contracts.payment import PaymentStatus
from services.payment import rules
from services.payment.errors import (
    AmountIsInAnotherCurrency,
    AmountIsMoreThanTheOpenBalance,
    AmountMustBeAboveZero,
    InvoiceCannotBePaid,
    PaymentCannotBecome,
)

STATES: tuple[PaymentStatus, ...] = get_args(PaymentStatus)
outcomes = st.sampled_from(get_args(rules.Outcome))


def after(said: list[rules.Outcome]) -> PaymentStatus:
    status: PaymentStatus = "processing"
    for outcome in said:
        if rules.is_news(status, rules.STATUS_OF[outcome]):
            status = rules.moved(status, rules.STATUS_OF[outcome])
    return status


@given(status=st.sampled_from(STATES), to=st.sampled_from(STATES))
def test_a_payment_moves_only_along_its_table_and_never_back(status: PaymentStatus, to: PaymentStatus) -> None:
    """A move that the table does not have is refused by name; every one that it has goes on."""
    if to in rules.MOVES[status]:
        assert rules.moved(status, to) == to
        assert rules.RANK[to] > rules.RANK[status]
    else:
        with pytest.raises(PaymentCannotBecome):
            rules.moved(status, to)


def test_every_state_has_its_row() -> None:
    """The tables are complete, and only what the provider was not asked for can be cancelled."""
    assert set(rules.MOVES) == set(rules.RANK) == set(STATES)
    assert {status for status, to in rules.MOVES.items() if "cancelled" in to} == rules.CANCELLABLE
    assert {status for status in STATES if rules.RANK[status] < rules.RANK["cancelled"]} == rules.UNDER_WAY


@given(said=st.lists(outcomes, max_size=8), data=st.data())
def test_what_a_provider_says_ends_the_same_in_every_order(said: list[rules.Outcome], data: st.DataObject) -> None:
    """However its words are reordered and repeated, the furthest one stays."""
    furthest = max(["processing", *(rules.STATUS_OF[outcome] for outcome in said)], key=lambda status: rules.RANK[status])
    shuffled = data.draw(st.permutations(said + (data.draw(st.lists(st.sampled_from(said))) if said else [])))
    assert after(said) == after(shuffled) == furthest


@given(said=st.lists(outcomes, max_size=8))
def test_what_is_said_again_is_no_news(said: list[rules.Outcome]) -> None:
    """After all of it was heard, none of it changes anything."""
    status = after(said)
    assert not any(rules.is_news(status, rules.STATUS_OF[outcome]) for outcome in said)


def test_a_payment_is_at_most_what_is_open() -> None:
    """What others are paying already is not open; a cent more is refused."""
    rules.check_payable("issued", Money.of(100), Money.of(40), Money.of(60))
    with pytest.raises(AmountIsMoreThanTheOpenBalance):
        rules.check_payable("issued", Money.of(100), Money.of(40), Money.of("60.01"))


@pytest.mark.parametrize("amount", ["0.00", "-1.00"])
def test_a_payment_is_above_zero(amount: str) -> None:
    """Nothing, and less than nothing, is refused."""
    with pytest.raises(AmountMustBeAboveZero):
        rules.check_payable("issued", Money.of(100), Money.of(0), Money.of(amount))


def test_a_payment_is_in_its_invoices_currency() -> None:
    """Euros do not pay dollars."""
    with pytest.raises(AmountIsInAnotherCurrency):
        rules.check_payable("issued", Money.of(100), Money.of(0), Money.of(1, "EUR"))


@pytest.mark.parametrize("status", sorted(set(get_args(InvoiceStatus)) - rules.PAYABLE))
def test_only_an_open_invoice_can_be_paid(status: InvoiceStatus) -> None:
    """Drafts, and what is settled or given up, are refused."""
    with pytest.raises(InvoiceCannotBePaid):
        rules.check_payable(status, Money.of(100), Money.of(0), Money.of(1))


def test_a_webhook_is_verified_before_it_is_applied() -> None:
    """Nothing goes from received to applied, and what was decided stays."""
    assert rules.WEBHOOK_MOVES["received"] == {"verified"}
    assert not rules.WEBHOOK_MOVES["applied"]
    assert not rules.WEBHOOK_MOVES["ignored"]
