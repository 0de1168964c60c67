"""Billing's decisions about coupons, claims, disputes, write-offs, ages of debts, and what is taken back first."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, get_args
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker import LifeCycle
from contracts.billing import InvoiceStatus
from contracts.money import Money
from services.billing import rules
from services.billing.errors import (
    ApproverMustBeAnotherPerson,
    BalanceGrewSinceTheRequest,
    ChargeCannotBecome,
    ClaimNeedsADiagnosis,
    CouponCannotBecome,
    CouponEndsBeforeItBegins,
    CouponIsAmountOrPercent,
    CouponIsNotActive,
    CouponIsNotValidToday,
    CouponsDoNotStack,
    CreditNoteIsMoreThanWasInvoiced,
    DisputeCannotBecome,
    FacilityIsNotActive,
    InvoiceIsInAnotherCurrency,
    NothingIsLeftToDiscount,
    OnlyAnIssuedInvoiceIsClaimedOrCredited,
    PatientUsedTheCouponUp,
    PoliciesOverlap,
    PolicyEndsBeforeItBegins,
    PolicyIsNotInForce,
    RemittanceDoesNotAddUp,
    RemittanceNamesOtherLines,
    SecondaryClaimFollowsThePrimary,
)

TODAY = date(2026, 3, 2)
some_cents = st.integers(1, 100_000).map(lambda number: Money.of(Decimal(number) / 100))


@dataclass(frozen=True)
class Coupon:
    status: rules.CouponStatus = "active"
    stacking: rules.Stacking = "stackable"
    valid_from: date = TODAY
    valid_to: date = TODAY
    percent: Decimal | None = None
    fixed: Money | None = None
    most_per_patient: int | None = None


@dataclass(frozen=True)
class Entry:
    sequence: int
    share: Money
    allocation_id: UUID
    reverses_id: UUID | None = None


@dataclass(frozen=True)
class Period:
    effective_from: date
    effective_to: date | None


@dataclass(frozen=True)
class Opened:
    status: InvoiceStatus
    allocated: Money
    due_on: date | None
    is_held: bool = False
    balance: Money = field(default_factory=lambda: Money.of(1))


@dataclass(frozen=True)
class ClaimLine:
    position: int
    claimed: Money


@pytest.mark.parametrize(
    ("cycle", "ends"),
    [
        (rules.CHARGE, {"withdrawn"}),
        (rules.COUPON, {"exhausted", "expired", "revoked"}),
        (rules.CLAIM, {"rejected", "paid"}),
        (rules.DISPUTE, {"won", "lost"}),
        (rules.REQUEST, {"approved", "refused"}),
        (rules.COLLECTION, {"settled", "recalled"}),
    ],
)
def test_each_life_ends_where_it_should(cycle: LifeCycle[Any], ends: set[str]) -> None:
    """From there nothing leads on."""
    assert {state for state in cycle.moves if cycle.is_last(state)} == ends


def test_what_is_over_does_not_begin_again() -> None:
    """An invoiced charge has no other price, and a coupon that was used up is neither active nor revoked again."""
    with pytest.raises(ChargeCannotBecome):
        rules.CHARGE.moved("invoiced", "unpriced")
    with pytest.raises(ChargeCannotBecome):
        rules.CHARGE.moved("unpriced", "invoiced")
    for state in rules.COUPON.moves:
        with pytest.raises(CouponCannotBecome):
            rules.COUPON.moved("exhausted", state)


def test_a_claim_is_decided_only_after_the_payer_took_it() -> None:
    """Paid and denied follow on accepted or appealed, and on nothing else."""
    for decision in rules.DECIDED:
        before = {state for state in get_args(rules.ClaimStatus) if rules.CLAIM.allows(state, decision)}
        assert before == {"accepted", "appealed"}


@given(amounts=st.lists(some_cents, min_size=1, max_size=8), data=st.data())
def test_what_is_taken_back_is_the_newest(amounts: list[Money], data: st.DataObject) -> None:
    """As much as asked for while something stands, never more than stands, and an older one only after a newer is gone."""
    entries = [Entry(at, amount, uuid4()) for at, amount in enumerate(amounts)]
    whole = Money.total(amounts)
    amount = Money.of(data.draw(st.decimals("0.01", whole.amount + 10, places=2)))
    parts = rules.take_back(amount, entries)
    assert Money.total(part for _, part in parts) == min(amount, whole)
    assert [entry.sequence for entry, _ in parts] == list(range(len(amounts) - 1, len(amounts) - 1 - len(parts), -1))
    assert all(part == entry.share for entry, part in parts[:-1])


def test_what_was_reversed_does_not_stand() -> None:
    """Neither wholly nor in part."""
    gone, part = Entry(1, Money.of(5), uuid4()), Entry(2, Money.of(5), uuid4())
    reversals = [Entry(3, Money.of(-5), uuid4(), gone.allocation_id), Entry(4, Money.of(-2), uuid4(), part.allocation_id)]
    assert rules.standing([gone, part, *reversals]) == [(part, Money.of(3))]


@pytest.mark.parametrize(
    ("invoice", "becomes"),
    [
        (Opened("paid", Money.of(0), TODAY), "issued"),
        (Opened("paid", Money.of(1), TODAY), "partially_paid"),
        (Opened("paid", Money.of(1), TODAY - timedelta(days=1)), "overdue"),
        (Opened("paid", Money.of(1), TODAY - timedelta(days=1), is_held=True), "partially_paid"),
        (Opened("written_off", Money.of(0), TODAY), "issued"),
        (Opened("partially_paid", Money.of(0), TODAY), "issued"),
        (Opened("partially_paid", Money.of(1), TODAY), "partially_paid"),
        (Opened("overdue", Money.of(1), TODAY), "overdue"),
    ],
)
def test_what_an_invoice_is_when_money_is_gone(invoice: Opened, becomes: InvoiceStatus) -> None:
    """By its due date, which counts until midnight, and by whether anything is still paid; a hold keeps it from overdue."""
    assert rules.status_after_reversal(invoice, datetime(2026, 3, 2, 23, 59, tzinfo=UTC), UTC) == becomes


def test_a_facility_that_is_not_active_issues_nothing() -> None:
    """By name."""
    rules.check_facility("active")
    with pytest.raises(FacilityIsNotActive):
        rules.check_facility("inactive")


def test_news_of_a_dispute() -> None:
    """A decision is news once; that it was opened is no news after that; two decisions contradict each other."""
    assert rules.is_news("opened", "lost")
    assert rules.is_news("opened", "won")
    assert not rules.is_news("lost", "opened")
    assert not rules.is_news("lost", "lost")
    assert not rules.is_news("opened", "opened")
    with pytest.raises(DisputeCannotBecome):
        rules.is_news("won", "lost")


def test_who_asks_for_a_write_off_does_not_approve_it() -> None:
    """Nor does somebody else approve more than was asked for; less is fine."""
    rules.check_approval(Money.of(10), Money.of(9), "clerk", "manager")
    with pytest.raises(ApproverMustBeAnotherPerson):
        rules.check_approval(Money.of(10), Money.of(10), "clerk", "clerk")
    with pytest.raises(BalanceGrewSinceTheRequest):
        rules.check_approval(Money.of(10), Money.of("10.01"), "clerk", "manager")


def test_a_credit_note_is_over_no_more_than_is_asked() -> None:
    """And over an invoice that counts."""
    rules.check_credit_note(Money.of(10), Money.of(10))
    with pytest.raises(CreditNoteIsMoreThanWasInvoiced):
        rules.check_credit_note(Money.of("10.01"), Money.of(10))
    rules.check_issued("paid")
    with pytest.raises(OnlyAnIssuedInvoiceIsClaimedOrCredited):
        rules.check_issued("void")


@pytest.mark.parametrize(
    ("days", "bucket"),
    [(-9, "0-30"), (30, "0-30"), (31, "31-60"), (60, "31-60"), (61, "61-90"), (90, "61-90"), (91, "91-120"), (120, "91-120")],
)
def test_a_debt_ages_by_thirty_days(days: int, bucket: str) -> None:
    """Both ends of each bucket; what is not due yet is in the first."""
    assert rules.bucket_of(TODAY - timedelta(days=days), TODAY) == bucket


def test_the_last_bucket_goes_to_collections() -> None:
    """From the day on which a debt enters it."""
    due_on = TODAY - timedelta(days=121)
    assert rules.bucket_of(due_on, TODAY) == "over 120"
    assert rules.collected_from(due_on, UTC) == datetime(2026, 3, 2, tzinfo=UTC)


def test_aged_debts_are_summed_by_currency() -> None:
    """Every bucket is there, also an empty one."""
    debts = [(TODAY, Money.of(1)), (TODAY, Money.of(2)), (TODAY - timedelta(days=40), Money.of(4, "SSP"))]
    table = rules.aged(debts, TODAY)
    assert {currency: set(row) for currency, row in table.items()} == {key: set(rules.AGING) for key in ("USD", "SSP")}
    assert (table["USD"]["0-30"], table["SSP"]["31-60"]) == (Money.of(3), Money.of(4, "SSP"))


def test_a_coupon_is_over_an_amount_or_a_percentage() -> None:
    """Not both, not neither; and it does not end before it begins."""
    for percent, fixed in ((None, None), (Decimal(5), Money.of(5))):
        with pytest.raises(CouponIsAmountOrPercent):
            rules.check_terms(percent, fixed, TODAY, TODAY)
    with pytest.raises(CouponEndsBeforeItBegins):
        rules.check_terms(Decimal(5), None, TODAY, TODAY - timedelta(days=1))


@pytest.mark.parametrize(
    ("coupon", "used", "others", "refused"),
    [
        (Coupon(status="exhausted"), 0, [], CouponIsNotActive),
        (Coupon(valid_from=TODAY + timedelta(days=1), valid_to=TODAY + timedelta(days=2)), 0, [], CouponIsNotValidToday),
        (Coupon(valid_from=TODAY - timedelta(days=2), valid_to=TODAY - timedelta(days=1)), 0, [], CouponIsNotValidToday),
        (Coupon(most_per_patient=2), 2, [], PatientUsedTheCouponUp),
        (Coupon(stacking="exclusive"), 0, ["stackable"], CouponsDoNotStack),
        (Coupon(), 0, ["stackable", "exclusive"], CouponsDoNotStack),
        (Coupon(), 9, ["stackable"], None),
        (Coupon(stacking="exclusive", most_per_patient=1), 0, [], None),
    ],
)
def test_who_may_redeem_a_coupon(
    coupon: Coupon, used: int, others: list[rules.Stacking], refused: type[Exception] | None
) -> None:
    """By its state, its days, its cap for each patient, and what else lowers the invoice."""
    if refused is None:
        rules.check_redeemable(coupon, TODAY, used, others)
    else:
        with pytest.raises(refused):
            rules.check_redeemable(coupon, TODAY, used, others)


def test_what_a_coupon_takes_off() -> None:
    """A part rounded half to even, or an amount; no more than is open, something, and in the invoice's currency."""
    half = Coupon(percent=Decimal(50))
    assert rules.discount(half, Money.of("0.05"), Money.of("0.05")) == Money.of("0.02")
    assert rules.discount(half, Money.of("0.15"), Money.of("0.15")) == Money.of("0.08")
    assert rules.discount(half, Money.of(10), Money.of(3)) == Money.of(3)
    assert rules.discount(Coupon(fixed=Money.of(7)), Money.of(10), Money.of(9)) == Money.of(7)
    with pytest.raises(NothingIsLeftToDiscount):
        rules.discount(half, Money.of(10), Money.of(0))
    with pytest.raises(NothingIsLeftToDiscount):
        rules.discount(half, Money.of("0.01"), Money.of("0.01"))
    with pytest.raises(InvoiceIsInAnotherCurrency):
        rules.discount(Coupon(fixed=Money.of(7, "EUR")), Money.of(10), Money.of(9))


def test_a_policy_covers_from_day_to_day() -> None:
    """Both ends included; periods that share a day overlap."""
    policy = Period(TODAY, TODAY + timedelta(days=9))
    rules.check_in_force(policy, [TODAY, TODAY + timedelta(days=9)])
    for day in (TODAY - timedelta(days=1), TODAY + timedelta(days=10)):
        with pytest.raises(PolicyIsNotInForce):
            rules.check_in_force(policy, [TODAY, day])
    rules.check_policy(Period(TODAY + timedelta(days=10), None), [policy])
    with pytest.raises(PoliciesOverlap):
        rules.check_policy(Period(TODAY + timedelta(days=9), None), [policy])
    with pytest.raises(PolicyEndsBeforeItBegins):
        rules.check_policy(Period(TODAY, TODAY - timedelta(days=1)), [])


def test_the_secondary_payer_comes_second() -> None:
    """After the primary one paid or denied; the primary one waits for nobody."""
    rules.check_order("primary", None)
    for state in rules.CLAIM.moves:
        if state in {"paid", "denied"}:
            rules.check_order("secondary", state)
            continue
        with pytest.raises(SecondaryClaimFollowsThePrimary):
            rules.check_order("secondary", state)
    with pytest.raises(SecondaryClaimFollowsThePrimary):
        rules.check_order("secondary", None)


def test_a_claim_is_for_the_treatment_of_something() -> None:
    """It needs a diagnosis."""
    rules.check_complete(["E11.9"])
    with pytest.raises(ClaimNeedsADiagnosis):
        rules.check_complete([])


def answer(position: int, *parts: str, currency: str = "USD") -> rules.RemittedLine:
    paid, contractual, patient = (Money.of(part, currency) for part in parts)
    return rules.RemittedLine(position=position, paid=paid, contractual=contractual, patient_responsibility=patient)


@pytest.mark.parametrize(
    ("answers", "refused"),
    [
        ([answer(0, "5", "3", "2")], RemittanceNamesOtherLines),
        ([answer(0, "5", "3", "2"), answer(0, "5", "3", "2"), answer(1, "1", "0", "0")], RemittanceNamesOtherLines),
        ([answer(0, "5", "3", "2"), answer(1, "1", "0", "0"), answer(2, "1", "0", "0")], RemittanceNamesOtherLines),
        ([answer(0, "5", "3", "2"), answer(1, "1", "0", "0.01")], RemittanceDoesNotAddUp),
        ([answer(0, *["99999999999999"] * 3), answer(1, "1", "0", "0")], RemittanceDoesNotAddUp),
        ([answer(0, "5", "7", "-2"), answer(1, "1", "0", "0")], RemittanceDoesNotAddUp),
        ([answer(0, "5", "3", "2", currency="EUR"), answer(1, "1", "0", "0")], RemittanceDoesNotAddUp),
    ],
)
def test_a_remittance_that_does_not_add_up(answers: list[rules.RemittedLine], refused: type[Exception]) -> None:
    """Each line once, in its currency, with nothing negative, to the cent."""
    lines = [ClaimLine(0, Money.of(10)), ClaimLine(1, Money.of(1))]
    assert set(rules.check_remittance(lines, [answer(1, "0", "1", "0"), answer(0, "5", "3", "2")])) == {0, 1}
    with pytest.raises(refused):
        rules.check_remittance(lines, answers)
