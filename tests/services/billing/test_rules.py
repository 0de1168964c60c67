"""Billing's decisions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import get_args
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.billing import InvoiceStatus
from contracts.money import Money
from services.billing import rules
from services.billing.errors import (
    AdjustmentIsMoreThanTheBalance,
    InvoiceCannotBecome,
    InvoiceNeedsAtLeastOneLine,
    LargeWriteOffNeedsASecondApprover,
    OnlyAnUnallocatedInvoiceCanBeVoided,
    PriceEndsBeforeItBegins,
)
from services.billing.tables import Invoice

STATES: tuple[InvoiceStatus, ...] = get_args(InvoiceStatus)
cents = st.integers(0, 10_000_000).map(lambda number: Money.of(Decimal(number) / 100))
some_cents = st.integers(1, 10_000_000).map(lambda number: Money.of(Decimal(number) / 100))


@dataclass(frozen=True)
class Line:
    priority: int
    position: int
    balance: Money


@dataclass(frozen=True)
class Price:
    effective_from: date
    effective_to: date | None
    price: Money


@dataclass(frozen=True)
class Open:
    invoice_id: UUID
    status: InvoiceStatus
    due_on: date | None
    number: str | None = None


def lines_of(balances: list[Money]) -> list[Line]:
    return [Line(priority=len(balances) - at, position=at, balance=balance) for at, balance in enumerate(balances)]


def an_invoice(amounts: list[Money]) -> Invoice:
    invoice = Invoice.draft(uuid4(), uuid4(), None, Money.total(amounts))
    for at, amount in enumerate(amounts):
        invoice.add_line("code", "", amount, priority=at % 3)
    invoice.move("issued")
    return invoice


@given(amount=cents, weights=st.lists(cents, min_size=1, max_size=12).filter(any))
def test_split_parts_add_up(amount: Money, weights: list[Money]) -> None:
    """The parts add up to the amount, to the cent, and none is negative."""
    parts = rules.split(amount, weights)
    assert Money.total(parts) == amount
    assert min(parts) >= Money.of(0)


def test_split_rounds_half_to_even_and_leaves_the_residual_to_the_last() -> None:
    """10.00 in three is 3.33, 3.33 and 3.34; half a cent goes to the even neighbour."""
    one = Money.of(1)
    assert rules.split(Money.of("10.00"), [one, one, one]) == [Money.of("3.33"), Money.of("3.33"), Money.of("3.34")]
    assert rules.split(Money.of("0.05"), [one, one]) == [Money.of("0.02"), Money.of("0.03")]
    assert rules.split(Money.of("0.15"), [one, one]) == [Money.of("0.08"), Money.of("0.07")]


def test_split_needs_a_weight() -> None:
    """Nothing can be split by weights that add up to zero."""
    with pytest.raises(ValueError, match="add up to zero"):
        rules.split(Money.of(1), [Money.of(0)])


@given(data=st.data(), balances=st.lists(cents, min_size=1, max_size=12).filter(any))
def test_spread_never_takes_more_than_is_open(data: st.DataObject, balances: list[Money]) -> None:
    """An adjustment's parts add up to it, and none is more than its line has open."""
    whole = Money.total(balances)
    amount = Money.of(data.draw(st.decimals(0, whole.amount, places=2)))
    shares = rules.spread(amount, lines_of(balances))
    assert Money.total(share for _, share in shares) == amount
    assert all(Money.of(0) < share <= line.balance for line, share in shares)


def test_an_adjustment_cannot_be_more_than_the_balance() -> None:
    """A cent more than is open is refused."""
    with pytest.raises(AdjustmentIsMoreThanTheBalance):
        rules.spread(Money.of("10.01"), lines_of([Money.of("10.00")]))


@given(amount=cents, balances=st.lists(cents, max_size=12))
def test_cover_settles_as_much_as_it_can(amount: Money, balances: list[Money]) -> None:
    """What is covered is the smaller of the amount and what is open, and no line gets more than it has open."""
    shares = rules.cover(amount, lines_of(balances))
    assert Money.total(share for _, share in shares) == min(amount, Money.total(balances))
    assert all(Money.of(0) < share <= line.balance for line, share in shares)


@given(amount=cents, balances=st.lists(some_cents, max_size=8))
def test_cover_fills_one_line_before_the_next(amount: Money, balances: list[Money]) -> None:
    """Only the last line that gets anything, by priority, may keep something open."""
    shares = rules.cover(amount, lines_of(balances))
    assert [line.priority for line, _ in shares] == sorted(line.priority for line, _ in shares)
    assert all(share == line.balance for line, share in shares[:-1])


def test_lines_of_one_priority_are_covered_as_they_stand() -> None:
    """Priority goes first, then the line's place."""
    second, first, urgent = (Line(1, 1, Money.of(5)), Line(1, 0, Money.of(5)), Line(0, 2, Money.of(5)))
    assert [line for line, _ in rules.cover(Money.of(12), [second, first, urgent])] == [urgent, first, second]


@given(
    amounts=st.lists(some_cents, min_size=1, max_size=6),
    steps=st.lists(st.tuples(st.sampled_from(["pay", "adjust"]), some_cents), max_size=12),
)
def test_the_balance_is_always_total_minus_allocations_minus_adjustments(
    amounts: list[Money], steps: list[tuple[str, Money]]
) -> None:
    """Whatever is paid and adjusted, in whatever order, balance = total − allocations − adjustments, line by line too."""
    invoice, paid, adjusted = an_invoice(amounts), Money.of(0), Money.of(0)
    for kind, amount in steps:
        if invoice.status not in rules.PAYABLE:
            break
        if kind == "pay":
            paid += Money.total(share for _, share in invoice.allocate(amount))
        else:
            part = min(amount, invoice.balance)
            invoice.adjust(part)
            adjusted += part
            invoice.status = rules.status_after_settling(invoice)
        assert invoice.balance == Money.total(amounts) - paid - adjusted
        assert invoice.balance == Money.total(line.balance for line in invoice.lines)
        assert all(line.balance >= Money.of(0) for line in invoice.lines)
        assert (invoice.status == "paid") is (not invoice.balance)


@given(status=st.sampled_from(STATES), to=st.sampled_from(STATES))
def test_an_invoice_moves_only_along_its_table(status: InvoiceStatus, to: InvoiceStatus) -> None:
    """A move that the table does not have is refused by name."""
    if to in rules.INVOICE.moves[status]:
        assert rules.INVOICE.moved(status, to) == to
    else:
        with pytest.raises(InvoiceCannotBecome):
            rules.INVOICE.moved(status, to)


def test_every_state_has_its_row_and_none_leads_back_to_draft() -> None:
    """The table is complete; what was issued is never a draft again."""
    assert set(rules.INVOICE.moves) == set(STATES)
    assert all("draft" not in to for to in rules.INVOICE.moves.values())
    assert rules.INVOICE.is_last("void")


def test_an_overdue_invoice_stays_overdue_until_it_is_paid() -> None:
    """A part of an overdue invoice does not make it less overdue."""
    invoice = an_invoice([Money.of(10)])
    invoice.move("overdue")
    seen = []
    for part in (4, 6):
        invoice.allocate(Money.of(part))
        seen.append(invoice.status)
    assert seen == ["overdue", "paid"]


def test_an_adjustment_alone_does_not_make_an_invoice_partially_paid() -> None:
    """Nothing was paid: it stays issued, with a smaller balance."""
    invoice = an_invoice([Money.of(10)])
    invoice.adjust(Money.of(4))
    assert rules.status_after_settling(invoice) == "issued"


def test_the_price_is_that_of_the_facility_on_the_day_of_service() -> None:
    """The price that began last counts, also on the day when it begins."""
    january, march = date(2026, 1, 1), date(2026, 3, 1)
    prices = [Price(march, None, Money.of(12)), Price(january, None, Money.of(10))]
    assert rules.price_on(date(2025, 12, 31), prices) is None
    assert rules.price_on(date(2026, 2, 28), prices) == Money.of(10)
    assert rules.price_on(march, prices) == Money.of(12)


def test_a_price_that_ended_leaves_no_price() -> None:
    """After its last day there is none, even though an earlier one never ended."""
    prices = [Price(date(2026, 1, 1), None, Money.of(10)), Price(date(2026, 2, 1), date(2026, 2, 28), Money.of(12))]
    assert rules.price_on(date(2026, 2, 28), prices) == Money.of(12)
    assert rules.price_on(date(2026, 3, 1), prices) is None


def test_a_price_cannot_end_before_it_begins() -> None:
    """One day is the shortest."""
    rules.check_period(date(2026, 1, 1), date(2026, 1, 1))
    with pytest.raises(PriceEndsBeforeItBegins):
        rules.check_period(date(2026, 1, 2), date(2026, 1, 1))


def test_the_oldest_due_invoice_is_paid_first() -> None:
    """Money on account goes by due date; what cannot be paid is left out."""
    late, early = (Open(uuid4(), "issued", date(2026, month, 1)) for month in (5, 4))
    settled = Open(uuid4(), "paid", date(2026, 1, 1))
    assert rules.to_be_paid([late, settled, early]) == [early, late]


def test_an_invoice_on_which_something_was_paid_cannot_be_voided() -> None:
    """One cent is enough, paid or adjusted."""
    rules.check_voidable(Money.of(0), Money.of(0))
    for allocated, adjusted in (("0.01", 0), (0, "0.01")):
        with pytest.raises(OnlyAnUnallocatedInvoiceCanBeVoided):
            rules.check_voidable(Money.of(allocated), Money.of(adjusted))


@pytest.mark.parametrize("approved_by", [None, "clerk"])
def test_a_large_write_off_needs_a_second_approver(approved_by: str | None) -> None:
    """Above the limit one person is not enough, whatever they call themselves twice."""
    rules.check_write_off(Money.of(rules.WRITE_OFF_LIMIT), "clerk", None)
    rules.check_write_off(Money.of("500.01"), "clerk", "manager")
    with pytest.raises(LargeWriteOffNeedsASecondApprover):
        rules.check_write_off(Money.of("500.01"), "clerk", approved_by)


def test_an_invoice_needs_a_line() -> None:
    """An import without lines is refused."""
    imported = rules.ImportedInvoice(external_reference="x", patient_id=uuid4(), facility_id=uuid4(), lines=())
    with pytest.raises(InvoiceNeedsAtLeastOneLine):
        imported.total()


def test_an_invoice_is_overdue_when_its_due_date_is_over() -> None:
    """Thirty days after issue it is due; it is overdue from the midnight after, in UTC."""
    assert rules.due_after(date(2026, 1, 1)) == date(2026, 1, 31)
    assert rules.overdue_from(date(2026, 1, 31), UTC) == datetime(2026, 2, 1, tzinfo=UTC)
    assert timedelta(days=30) == rules.TERMS


def test_invoice_numbers_are_padded_and_never_cut() -> None:
    """Six digits, more when needed."""
    assert [rules.invoice_number(number) for number in (1, 1_234_567)] == ["INV-000001", "INV-1234567"]
