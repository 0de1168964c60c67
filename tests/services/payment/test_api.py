"""Payment over HTTP."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from contracts.payment import PaymentInitiated
from tests.services.kit import Workplace
from tests.services.payment.given import FACILITY, INVOICE, OTHER_FACILITY, PATIENT, cash, initiated, recorded

BY_CARD = {"invoice_id": str(INVOICE), "amount": {"amount": "40.00", "currency": "USD"}, "token": "tok_visa"}
AT_THE_DESK = {
    "reference": "till 1",
    "patient_id": str(PATIENT),
    "facility_id": str(FACILITY),
    "invoice_id": str(INVOICE),
    "amount": {"amount": "40.00", "currency": "USD"},
    "method": "cash",
}


async def test_a_payment_is_begun_once_for_one_key(payment: Workplace) -> None:
    """The same request again gets the same reply; another one under the key, 422."""
    key = {"Idempotency-Key": str(uuid4())}
    async with payment.client("cashier", at=FACILITY) as cashier:
        first = await cashier.post("/payments", json=BY_CARD, headers=key)
        again = await cashier.post("/payments", json=BY_CARD, headers=key)
        other = await cashier.post("/payments", json=BY_CARD | {"token": "tok_slow"}, headers=key)
    assert (first.status_code, again.status_code, other.status_code) == (201, 201, 422)
    assert first.json() == again.json()
    assert first.json()["status"] == "processing"
    assert len(await payment.published(PaymentInitiated)) == 1


@pytest.mark.parametrize("method", ["cash", "bank_transfer"])
async def test_money_at_the_desk_is_for_an_invoice_that_is_known(payment: Workplace, method: str) -> None:
    """One that has not arrived is waited for: it may be mistyped, or another facility's. Without one, it is on account."""
    asked = AT_THE_DESK | {"method": method, "invoice_id": str(uuid4())}
    async with payment.client("cashier", at=FACILITY) as cashier:
        early = await cashier.post("/payments/recorded", json=asked)
        on_account = await cashier.post("/payments/recorded", json=asked | {"invoice_id": None})
    assert (early.status_code, early.json()["waits_for"], on_account.status_code) == (409, "invoice_reference", 201)


@pytest.mark.parametrize(
    ("asked", "rule"),
    [
        ({"amount": {"amount": "100.01", "currency": "USD"}}, "AmountIsMoreThanTheOpenBalance"),
        ({"amount": {"amount": "0", "currency": "USD"}}, "AmountMustBeAboveZero"),
        ({"amount": {"amount": "1", "currency": "EUR"}}, "AmountIsInAnotherCurrency"),
    ],
)
async def test_a_broken_rule_is_a_problem_by_its_name(payment: Workplace, asked: dict[str, Any], rule: str) -> None:
    """And nothing is begun."""
    async with payment.client("cashier", at=FACILITY) as cashier:
        reply = await cashier.post("/payments", json=BY_CARD | asked)
    assert reply.json()["type"] == f"urn:nilecare:rule:{rule}"
    assert await payment.published(PaymentInitiated) == []


@pytest.mark.parametrize("wrong", [{"token": "4111 1111 1111 1111"}, {"amount": {"amount": "x"}}, {"card": "x"}])
async def test_a_wrong_request_is_a_problem(payment: Workplace, wrong: dict[str, Any]) -> None:
    """422, without a word of what was sent."""
    async with payment.client("cashier", at=FACILITY) as cashier:
        reply = await cashier.post("/payments", json=BY_CARD | wrong)
    assert reply.status_code == 422
    assert "4111" not in reply.text


async def test_money_at_the_desk_is_recorded(payment: Workplace) -> None:
    """By a cashier of the facility; not as a card payment."""
    async with payment.client("cashier", at=FACILITY) as cashier:
        reply = await cashier.post("/payments/recorded", json=AT_THE_DESK)
        as_card = await cashier.post("/payments/recorded", json=AT_THE_DESK | {"method": "card"})
        arrived = await cashier.post("/payments/recorded", json=AT_THE_DESK | {"reference": "2", "method": "bank_transfer"})
    async with payment.client("cashier", at=OTHER_FACILITY) as stranger:
        foreign = await stranger.post("/payments/recorded", json=AT_THE_DESK)
    async with payment.client("clinician", at=FACILITY) as clinician:
        not_theirs = await clinician.post("/payments/recorded", json=AT_THE_DESK)
    assert (reply.status_code, reply.json()["status"]) == (201, "requires_action")
    assert (arrived.status_code, arrived.json()["status"]) == (201, "succeeded")
    assert (as_card.status_code, foreign.status_code, not_theirs.status_code) == (422, 404, 403)


async def test_a_payment_gets_its_card_or_is_cancelled(payment: Workplace) -> None:
    """Each once."""
    first, second = await initiated(payment, "10.00"), await initiated(payment, "10.00")
    async with payment.client("cashier", at=FACILITY) as cashier:
        paid = await cashier.post(f"/payments/{first.payment_id}/card", json={"token": "tok_visa"})
        cancelled = await cashier.post(f"/payments/{second.payment_id}/cancel")
        again = await cashier.post(f"/payments/{second.payment_id}/cancel")
    assert (paid.json()["status"], cancelled.json()["status"]) == ("processing", "cancelled")
    assert (again.status_code, again.json()["type"]) == (409, "urn:nilecare:rule:PaymentCannotBecome")


async def test_a_payment_of_another_facility_does_not_exist(payment: Workplace) -> None:
    """The same answer as for one that there never was."""
    mine = await recorded(payment, cash("5.00"))
    async with payment.client("cashier", at=OTHER_FACILITY) as stranger:
        foreign = await stranger.get(f"/payments/{mine.payment_id}")
        unknown = await stranger.get(f"/payments/{uuid4()}")
        begun = await stranger.post("/payments", json=BY_CARD)
        listed = (await stranger.get("/payments")).json()
    assert foreign.status_code == unknown.status_code == begun.status_code == 404
    assert foreign.json() == unknown.json()
    assert listed == {"items": [], "next": None}


async def test_payments_are_listed_by_what_is_asked(payment: Workplace) -> None:
    """In pages, the oldest first."""
    for number in range(3):
        await recorded(payment, cash("5.00", reference=f"till {number}"))
    await initiated(payment, "10.00")
    async with payment.client("billing_clerk", at=FACILITY) as clerk:
        first = (await clerk.get("/payments", params={"status": "succeeded", "limit": 2})).json()
        rest = (await clerk.get("/payments", params={"status": "succeeded", "cursor": first["next"]})).json()
    references = [payment["reference"] for payment in first["items"] + rest["items"]]
    assert references == ["till 0", "till 1", "till 2"]
    assert rest["next"] is None
