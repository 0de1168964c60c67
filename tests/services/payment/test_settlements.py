"""A provider's settlements beside our books, and the books by day."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from broker import clock
from contracts.payment import PaymentReconciliationMismatched
from services.payment import commands
from services.payment.rules import RefundWord, Word
from tests.services.kit import Workplace
from tests.services.payment.given import (
    FACILITY,
    OTHER_FACILITY,
    cash,
    hear,
    initiated,
    paid_by_card,
    recorded,
    refund_asked,
    usd,
)


def line(id_: str, amount: str, kind: str = "payment") -> dict[str, Any]:
    money = {"amount": amount, "currency": "USD"}
    return {"kind": kind, "provider_payment_id": id_, "amount": money, "fee": money | {"amount": "0.50"}}


async def settled(payment: Workplace, *lines: dict[str, Any]) -> dict[str, int]:
    """What today's settlement was found to say."""
    body = {"facility_id": str(FACILITY), "provider": "card", "day": clock.now().date().isoformat(), "lines": lines}
    async with payment.client("billing_manager", at=FACILITY) as manager:
        reply = await manager.post("/settlements", json=body)
    assert reply.status_code == 200, reply.text
    counted: dict[str, int] = reply.json()
    return counted


async def test_what_is_the_same_on_both_sides_matches(payment: Workplace) -> None:
    """Payments and refunds; cash is in no provider's settlement."""
    paid = await paid_by_card(payment, "60.00")
    asked = await refund_asked(payment, paid, "10.00")
    async with payment.transaction() as session:
        await commands.hear_refund(session, asked.refund_id, RefundWord(outcome="succeeded", provider_refund_id="ref_1"))
    await recorded(payment, cash("5.00"))
    counted = await settled(payment, line("pay_1", "60.00"), line("ref_1", "10.00", "refund"))
    assert counted == {"matched": 2, "mismatched": 0, "resolved": 0}
    assert await payment.published(PaymentReconciliationMismatched) == []


async def test_each_mismatch_is_told_once(payment: Workplace) -> None:
    """Missing here, missing there, or of another amount; the same settlement again says nothing new."""
    differs = await paid_by_card(payment, "20.00", provider_payment_id="pay_1")
    missing = await paid_by_card(payment, "30.00", provider_payment_id="pay_2")
    for _ in range(2):
        counted = await settled(payment, line("pay_1", "19.00"), line("pay_3", "7.00"))
        assert counted == {"matched": 0, "mismatched": 3, "resolved": 0}
    told = {event.provider_payment_id: event for event in await payment.published(PaymentReconciliationMismatched)}
    assert len(await payment.published(PaymentReconciliationMismatched)) == 3
    assert {id_: (event.payment_id, event.ours, event.theirs) for id_, event in told.items()} == {
        "pay_1": (differs.payment_id, usd("20.00"), usd("19.00")),
        "pay_2": (missing.payment_id, usd("30.00"), None),
        "pay_3": (None, None, usd("7.00")),
    }


async def test_a_later_settlement_may_bring_what_was_missing(payment: Workplace) -> None:
    """Then it matches; so does what they had settled before we knew."""
    await paid_by_card(payment, "20.00", provider_payment_id="pay_1")
    begun = await initiated(payment, "30.00", "tok_visa")
    await hear(payment, begun, Word(outcome="authorised", provider_payment_id="pay_2"))
    assert (await settled(payment, line("pay_2", "30.00")))["mismatched"] == 2
    await hear(payment, begun, Word(outcome="captured", provider_payment_id="pay_2"))
    assert await settled(payment, line("pay_1", "20.00"), line("pay_2", "30.00")) == {
        "matched": 2,
        "mismatched": 0,
        "resolved": 0,
    }


async def test_another_facilitys_payment_is_missing_here(payment: Workplace) -> None:
    """A settlement is of one facility's account: nothing is told of another's books."""
    await paid_by_card(payment, "20.00")
    body = {
        "facility_id": str(OTHER_FACILITY),
        "provider": "card",
        "day": clock.now().date().isoformat(),
        "lines": [line("pay_1", "20.00")],
    }
    async with payment.client("billing_manager", at=OTHER_FACILITY) as manager:
        counted = (await manager.post("/settlements", json=body)).json()
        refused = await manager.post("/settlements", json=body | {"facility_id": str(FACILITY)})
    assert (counted["mismatched"], refused.status_code) == (1, 404)
    [told] = await payment.published(PaymentReconciliationMismatched)
    assert (told.payment_id, told.ours) == (None, None)


async def test_a_mismatch_is_resolved_with_a_reason(payment: Workplace) -> None:
    """Once, and it stays so."""
    await settled(payment, line("pay_3", "7.00"))
    async with payment.client("billing_manager", at=FACILITY) as manager:
        [found] = (await manager.get("/reconciliation", params={"status": "mismatched"})).json()["items"]
        path = f"/reconciliation/{found['reconciliation_id']}/resolve"
        silent = await manager.post(path, json={"reason": ""})
        resolved = await manager.post(path, json={"reason": "paid at the old terminal"})
        again = await manager.post(path, json={"reason": "twice"})
    assert (silent.status_code, again.status_code) == (422, 409)
    assert (resolved.json()["resolved_because"], resolved.json()["resolved_by"]) == ("paid at the old terminal", "tester")
    assert (await settled(payment, line("pay_3", "7.00")))["resolved"] == 1
    assert len(await payment.published(PaymentReconciliationMismatched)) == 1


async def test_an_unknown_provider_settles_nothing(payment: Workplace) -> None:
    """Nor does a settlement that names a payment twice: 422, by name."""
    body = {"facility_id": str(FACILITY), "provider": "card", "day": "2026-01-01", "lines": [line("pay_1", "1.00")] * 2}
    async with payment.client("billing_manager", at=FACILITY) as manager:
        twice = await manager.post("/settlements", json=body)
        unknown = await manager.post("/settlements", json=body | {"provider": "nobody"})
    assert [reply.status_code for reply in (twice, unknown)] == [422, 422]
    assert twice.json()["type"] == "urn:nilecare:rule:SettlementNamesAPaymentTwice"
    assert unknown.json()["type"] == "urn:nilecare:rule:ProviderIsUnknown"


async def test_days_are_counted_as_money_moves(payment: Workplace) -> None:
    """By method: what succeeded, failed and went back."""
    paid = await paid_by_card(payment, "60.00")
    declined = await initiated(payment, "10.00", "tok_visa")
    await hear(payment, declined, Word(outcome="declined", provider_payment_id="pay_2", decline_code="card_declined"))
    asked = await refund_asked(payment, paid, "15.00")
    async with payment.transaction() as session:
        await commands.hear_refund(session, asked.refund_id, RefundWord(outcome="succeeded", provider_refund_id="ref_1"))
    today = clock.now().date().isoformat()
    async with payment.client("facility_manager", at=FACILITY) as manager:
        [day] = (await manager.get("/payment-analytics", params={"since": today, "until": today})).json()["items"]
        earlier = (await manager.get("/payment-analytics", params={"until": "2020-01-01"})).json()["items"]
    assert (day["method"], day["succeeded"], day["failed"], day["refunded"]) == ("card", 1, 1, 1)
    assert (day["succeeded_amount"], day["failed_amount"], day["refunded_amount"]) == ("60.00", "10.00", "15.00")
    assert earlier == []


async def test_money_of_long_ago_counts_on_its_day(payment: Workplace) -> None:
    """When it was received, not when it was written down."""
    for _ in range(2):
        await recorded(payment, cash("5.00", reference=str(uuid4())))
    async with payment.client("billing_clerk", at=FACILITY) as clerk:
        [day] = (await clerk.get("/payment-analytics")).json()["items"]
    assert (day["day"], day["succeeded"], day["succeeded_amount"]) == ("2026-03-02", 2, "10.00")
