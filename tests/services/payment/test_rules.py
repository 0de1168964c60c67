"""Payment's decisions."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import cast, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker import RuleBroken
from contracts.billing import InvoiceStatus
from contracts.money import Money
from contracts.payment import PaymentMethod, PaymentStatus
from services.payment import rules
from services.payment.errors import (
    AmountIsInAnotherCurrency,
    AmountIsMoreThanCanBeRefunded,
    AmountIsMoreThanIsHeld,
    AmountIsMoreThanTheOpenBalance,
    AmountMustBeAboveZero,
    CaptureIsUnderWay,
    CashNeedsASecondPerson,
    DisputeCannotBecome,
    EvidenceIsTooLate,
    EvidenceWasSentAlready,
    InvoiceCannotBePaid,
    OnlyCashIsVerified,
    OnlyHeldMoneyIsCaptured,
    OnlyMoneyThatWeHaveIsRefunded,
    PaymentCannotBecome,
    ProviderPaysThisRefund,
    RefundNeedsASecondPerson,
    SettlementNamesAPaymentTwice,
)

STATES: tuple[PaymentStatus, ...] = get_args(PaymentStatus)
ENDS: tuple[rules.Outcome, ...] = ("captured", "declined", "cancelled")
OF_40 = Money.of(40)


def said(outcome: rules.Outcome, captured: Money | None = None) -> rules.Word:
    return rules.Word(outcome=outcome, provider_payment_id="pay_1", captured=captured)


def after(words: list[rules.Word]) -> tuple[PaymentStatus, Money]:
    status: PaymentStatus = "processing"
    captured = Money.of(0)
    for word in words:
        if rules.is_news(status, captured, word):
            status = rules.PAYMENT.moved(status, rules.STATUS_OF[word.outcome])
            captured = word.captured or captured
    return status, captured


def told_by_a_provider(end: rules.Outcome, parts: list[int]) -> list[rules.Word]:
    """A payment's story: held, captured in parts or not, and its end."""
    partly = [said("partially_captured", Money.of(part)) for part in sorted(parts)] if end == "captured" else []
    return [said("authorised"), *partly, said(end, OF_40 if end == "captured" else None)]


stories = st.builds(told_by_a_provider, st.sampled_from(ENDS), st.lists(st.integers(1, 39), unique=True, max_size=3))


@given(status=st.sampled_from(STATES), to=st.sampled_from(STATES))
def test_a_payment_moves_only_along_its_table(status: PaymentStatus, to: PaymentStatus) -> None:
    """A move that the table does not have is refused by name."""
    if rules.PAYMENT.allows(status, to):
        assert rules.PAYMENT.moved(status, to) == to
    else:
        with pytest.raises(PaymentCannotBecome):
            rules.PAYMENT.moved(status, to)


def test_only_what_may_still_succeed_claims_its_part_of_a_balance() -> None:
    """Failed payments do not, although a provider that has the money after all is believed."""
    leads_on = {status for status in STATES if "succeeded" in rules.PAYMENT.moves[status]}
    assert leads_on - {"failed"} < rules.UNDER_WAY
    assert {status for status, to in rules.PAYMENT.moves.items() if "cancelled" in to} < rules.UNDER_WAY
    assert set(rules.PAYMENT.moves) == set(STATES)


@given(story=stories, data=st.data())
def test_what_a_provider_says_ends_the_same_in_every_order(story: list[rules.Word], data: st.DataObject) -> None:
    """However its words are reordered and repeated, the furthest one stays."""
    shuffled = data.draw(st.permutations(story + data.draw(st.lists(st.sampled_from(story)))))
    assert after(shuffled) == after(story)
    status, captured = after(shuffled)
    assert status == rules.STATUS_OF[story[-1].outcome]
    assert captured == (OF_40 if status == "succeeded" else Money.of(0))


@given(story=stories)
def test_what_is_said_again_is_no_news(story: list[rules.Word]) -> None:
    """After all of it was heard, none of it changes anything."""
    status, captured = after(story)
    assert not any(rules.is_news(status, captured, word) for word in story)


@pytest.mark.parametrize("outcome", ["authorised", "captured", "declined"])
def test_a_provider_that_has_the_money_is_believed(outcome: rules.Outcome) -> None:
    """Even after it refused; nothing else is news then."""
    assert rules.is_news("failed", Money.of(0), said(outcome)) == (outcome == "captured")


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
    assert rules.WEBHOOK.moves["received"] == {"verified"}
    assert rules.WEBHOOK.is_last("applied")
    assert rules.WEBHOOK.is_last("ignored")


@pytest.mark.parametrize(
    ("asked", "rule"),
    [("0", AmountMustBeAboveZero), ("40.01", AmountIsMoreThanIsHeld), ("1 EUR", AmountIsInAnotherCurrency)],
)
def test_no_more_is_captured_than_is_held(asked: str, rule: type[RuleBroken]) -> None:
    """All of it may be."""
    amount, _, currency = asked.partition(" ")
    rules.check_capture(OF_40, OF_40)
    with pytest.raises(rule):
        rules.check_capture(Money.of(amount, currency or "USD"), OF_40)


def test_only_what_is_held_is_captured_or_released() -> None:
    """And only one thing is asked of the provider at a time."""
    for status in STATES:
        if status in rules.HELD:
            rules.check_held(status, is_asked=False)
        else:
            with pytest.raises(OnlyHeldMoneyIsCaptured):
                rules.check_held(status, is_asked=False)
    with pytest.raises(CaptureIsUnderWay):
        rules.check_held("requires_capture", is_asked=True)


def test_cash_is_counted_by_a_second_person() -> None:
    """Four eyes; what is no cash, or was counted before it came here, is not counted."""
    rules.check_second_person("cash", "first", "second")
    with pytest.raises(CashNeedsASecondPerson):
        rules.check_second_person("cash", "first", "first")
    for method, taken_by in (("card", None), ("cash", None)):
        with pytest.raises(OnlyCashIsVerified):
            rules.check_second_person(cast("PaymentMethod", method), taken_by, "second")


def test_no_more_goes_back_than_can() -> None:
    """Of money that we have, and in its currency."""
    rules.check_refund("succeeded", OF_40, OF_40)
    for status, amount, rule in (
        ("succeeded", Money.of("40.01"), AmountIsMoreThanCanBeRefunded),
        ("succeeded", Money.of(0), AmountMustBeAboveZero),
        ("succeeded", Money.of(1, "EUR"), AmountIsInAnotherCurrency),
        ("requires_capture", OF_40, OnlyMoneyThatWeHaveIsRefunded),
    ):
        with pytest.raises(rule):
            rules.check_refund(cast("PaymentStatus", status), OF_40, amount)


def test_a_refund_by_hand_needs_a_second_person() -> None:
    """What came through a provider goes back through it."""
    rules.check_payer_out(None, "first", "second")
    with pytest.raises(RefundNeedsASecondPerson):
        rules.check_payer_out(None, "first", "first")
    with pytest.raises(ProviderPaysThisRefund):
        rules.check_payer_out("card", "first", "second")


def test_evidence_is_taken_once_and_in_time() -> None:
    """Of a dispute that is not decided."""
    due_at = datetime(2026, 3, 2, tzinfo=UTC)
    rules.check_evidence("open", due_at, is_sent=False, now=due_at)
    with pytest.raises(EvidenceWasSentAlready):
        rules.check_evidence("open", due_at, is_sent=True, now=due_at)
    with pytest.raises(DisputeCannotBecome):
        rules.check_evidence("won", due_at, is_sent=False, now=due_at)
    with pytest.raises(EvidenceIsTooLate):
        rules.check_evidence("open", due_at, is_sent=False, now=due_at + timedelta(seconds=1))


@given(words=st.permutations(["opened", "under_review", "won"]), again=st.lists(st.sampled_from(["opened", "won"])))
def test_a_dispute_ends_the_same_in_every_order(words: list[rules.DisputeOutcome], again: list[rules.DisputeOutcome]) -> None:
    """What is decided stays decided, whatever comes late or again."""
    status: rules.DisputeStatus = "open"
    for outcome in [*words, *again]:
        word = rules.DisputeWord(
            outcome=outcome,
            provider_dispute_id="dis_1",
            amount=OF_40,
            reason="fraudulent",
            evidence_due_at=datetime(2026, 3, 2, tzinfo=UTC),
        )
        if rules.is_dispute_news(status, word):
            status = rules.DISPUTE.moved(status, rules.DISPUTE_STATUS_OF[outcome])
    assert status == "won"


@pytest.mark.parametrize(
    ("ours", "theirs", "difference"),
    [
        (OF_40, OF_40, None),
        (None, OF_40, "missing_here"),
        (OF_40, None, "missing_there"),
        (OF_40, Money.of("40.01"), "amount_differs"),
        (OF_40, Money.of(40, "EUR"), "amount_differs"),
    ],
)
def test_a_settlement_is_compared_to_the_cent(ours: Money | None, theirs: Money | None, difference: str | None) -> None:
    """And in its currency."""
    assert rules.difference(ours, theirs) == difference


def test_a_settlement_names_each_payment_once() -> None:
    """A refund may have the same id as a payment: they are two lists of the provider's."""
    line = rules.SettledLine("payment", "pay_1", OF_40, Money.of(1))
    rules.check_settlement([line, replace(line, kind="refund")])
    with pytest.raises(SettlementNamesAPaymentTwice):
        rules.check_settlement([line, line])
