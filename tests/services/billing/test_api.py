"""Billing over HTTP."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.services.billing.given import (
    FACILITY,
    GLUCOSE,
    OTHER_FACILITY,
    OTHER_PATIENT,
    PATIENT,
    completed,
    invoiced,
    merged,
    paid,
    patient,
    priced,
)
from tests.services.kit import Workplace

A_PRICE = {
    "facility_id": str(FACILITY),
    "code": GLUCOSE,
    "price": {"amount": "12.50", "currency": "USD"},
    "effective_from": "2026-01-01",
}


async def test_a_price_is_set_and_listed(billing: Workplace) -> None:
    """By a manager of the facility; everybody else is told what they may know."""
    async with billing.client("billing_manager", at=FACILITY) as manager:
        assert (await manager.put("/prices", json=A_PRICE)).status_code == 204
        [price] = (await manager.get("/prices", params={"code": GLUCOSE})).json()["items"]
    assert price["price"] == {"amount": "12.50", "currency": "USD"}
    async with billing.client("billing_clerk", at=FACILITY) as clerk:
        assert (await clerk.put("/prices", json=A_PRICE)).status_code == 403
    async with billing.client("billing_manager", at=OTHER_FACILITY) as stranger:
        assert (await stranger.put("/prices", json=A_PRICE)).status_code == 404
        assert (await stranger.get("/prices")).json()["items"] == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"price": {"amount": "-1", "currency": "USD"}},
        {"price": {"amount": "1e99", "currency": "USD"}},
        {"price": {"amount": "NaN", "currency": "USD"}},
        {"price": {"amount": "1", "currency": "usd"}},
        {"code": ""},
        {"code": "a\x00b"},
        {"effective_to": "2025-12-31"},
        {"surprise": True},
    ],
)
async def test_a_wrong_price_is_a_problem(billing: Workplace, wrong: dict[str, Any]) -> None:
    """422 with a problem document, and nothing of it quoted."""
    async with billing.client("billing_manager", at=FACILITY) as manager:
        reply = await manager.put("/prices", json=A_PRICE | wrong)
    assert reply.status_code == 422
    assert reply.headers["content-type"] == "application/problem+json"


async def test_open_charges_are_invoiced_once_for_one_key(billing: Workplace) -> None:
    """The same request under one Idempotency-Key gets the same reply; another one, 422; without a key, nothing is left."""
    await priced(billing, GLUCOSE, "12.50")
    await billing.deliver(completed(GLUCOSE))
    asked = {"patient_id": str(PATIENT), "facility_id": str(FACILITY)}
    key = {"Idempotency-Key": str(uuid4())}
    async with billing.client("billing_clerk", at=FACILITY) as clerk:
        first = await clerk.post("/invoices", json=asked, headers=key)
        again = await clerk.post("/invoices", json=asked, headers=key)
        other = await clerk.post("/invoices", json=asked | {"encounter_id": str(uuid4())}, headers=key)
        nothing = await clerk.post("/invoices", json=asked)
    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    assert first.json()["total"] == {"amount": "12.50", "currency": "USD"}
    assert other.status_code == 422
    assert (nothing.status_code, nothing.json()["type"]) == (409, "urn:nilecare:rule:ThereIsNothingToInvoice")


async def test_an_invoice_of_another_facility_does_not_exist(billing: Workplace) -> None:
    """The same answer as for one that there never was."""
    invoice = await invoiced(billing, "10.00")
    async with billing.client("billing_manager", at=OTHER_FACILITY) as stranger:
        foreign = await stranger.get(f"/invoices/{invoice.invoice_id}")
        unknown = await stranger.get(f"/invoices/{uuid4()}")
        void = await stranger.post(f"/invoices/{invoice.invoice_id}/void", json={"reason": "mine"})
        listed = (await stranger.get("/invoices")).json()
    assert foreign.status_code == unknown.status_code == void.status_code == 404
    assert foreign.json() == unknown.json()
    assert listed == {"items": [], "next": None}


async def test_invoices_come_in_pages(billing: Workplace) -> None:
    """Each once, whatever the size of the page."""
    expected = {str((await invoiced(billing, "1.00")).invoice_id) for _ in range(5)}
    seen, cursor = [], None
    async with billing.client("cashier", at=FACILITY) as cashier:
        while True:
            page = (await cashier.get("/invoices", params={"limit": 2} | ({"cursor": cursor} if cursor else {}))).json()
            seen += [invoice["invoice_id"] for invoice in page["items"]]
            cursor = page["next"]
            if cursor is None:
                break
    assert (len(seen), set(seen)) == (5, expected)


async def test_an_invoice_shows_its_lines_and_what_was_paid(billing: Workplace) -> None:
    """Line by line, and who may void it learns why not."""
    invoice = await invoiced(billing, "10.00", "5.00")
    await billing.deliver(paid("12.00", invoice_id=invoice.invoice_id))
    async with billing.client("billing_manager", at=FACILITY) as manager:
        shown = (await manager.get(f"/invoices/{invoice.invoice_id}")).json()
        allocations = (await manager.get(f"/invoices/{invoice.invoice_id}/allocations")).json()["items"]
        void = await manager.post(f"/invoices/{invoice.invoice_id}/void", json={"reason": "wrong"})
    assert [line["balance"]["amount"] for line in shown["lines"]] == ["0.00", "3.00"]
    assert sorted(allocation["amount"] for allocation in allocations) == ["10.00", "2.00"]
    assert (void.status_code, void.json()["type"]) == (409, "urn:nilecare:rule:OnlyAnUnallocatedInvoiceCanBeVoided")


async def test_adjusting_and_writing_off_over_http(billing: Workplace) -> None:
    """The balance falls; above the limit one person alone is refused."""
    small, large = await invoiced(billing, "10.00"), await invoiced(billing, "900.00")
    async with billing.client("billing_manager", at=FACILITY) as manager:
        part = {"amount": {"amount": "4.00", "currency": "USD"}, "reason": "goodwill"}
        adjusted = await manager.post(f"/invoices/{small.invoice_id}/adjustments", json=part)
        written_off = await manager.post(f"/invoices/{small.invoice_id}/write-off", json={"reason": "lost"})
        refused = await manager.post(f"/invoices/{large.invoice_id}/write-off", json={"reason": "lost"})
    assert adjusted.json()["balance"]["amount"] == "6.00"
    assert (written_off.json()["status"], written_off.json()["balance"]["amount"]) == ("written_off", "0.00")
    assert refused.json()["type"] == "urn:nilecare:rule:LargeWriteOffNeedsASecondApprover"


async def test_an_account_shows_what_is_owed_and_credited(billing: Workplace) -> None:
    """Under the merged patient's id it is the other's account."""
    await billing.deliver(patient(OTHER_PATIENT))
    invoice = await invoiced(billing, "10.00")
    await invoiced(billing, "7.00")
    await billing.deliver(paid("12.00", invoice_id=invoice.invoice_id))
    await billing.deliver(merged(PATIENT, OTHER_PATIENT))
    async with billing.client("cashier", at=FACILITY) as cashier:
        account = (await cashier.get(f"/accounts/{PATIENT}")).json()
        credited = (await cashier.get("/credits", params={"patient_id": str(OTHER_PATIENT)})).json()["items"]
        unknown = await cashier.get(f"/accounts/{uuid4()}")
    assert account["patient_id"] == str(OTHER_PATIENT)
    assert (account["owed"], account["credit"]) == (
        [{"amount": "7.00", "currency": "USD"}],
        [{"amount": "2.00", "currency": "USD"}],
    )
    assert [credit["amount"] for credit in credited] == ["2.00"]
    assert unknown.status_code == 404


async def test_charges_are_listed_with_and_without_price(billing: Workplace) -> None:
    """One that waits for its price shows none."""
    await billing.deliver(completed(GLUCOSE))
    async with billing.client("billing_clerk", at=FACILITY) as clerk:
        [charge] = (await clerk.get("/charges", params={"status": "unpriced"})).json()["items"]
    assert (charge["code"], charge["price"]) == (GLUCOSE, None)
