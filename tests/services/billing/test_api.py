"""Billing over HTTP."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import uuid4

import pytest

from contracts.billing import InvoiceDue
from tests.services.billing.given import (
    FACILITY,
    GLUCOSE,
    OTHER_FACILITY,
    OTHER_PATIENT,
    PATIENT,
    completed,
    disputed,
    invoiced,
    merged,
    paid,
    patient,
    priced,
    refunded,
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
        request = (await manager.post(f"/invoices/{large.invoice_id}/write-off-requests", json={"reason": "lost"})).json()
        alone = await manager.post(f"/write-off-requests/{request['request_id']}/approve")
        listed = (await manager.get("/write-off-requests", params={"status": "requested"})).json()["items"]
        log = (await manager.get("/audit-log")).json()["items"]
    assert adjusted.json()["balance"]["amount"] == "6.00"
    assert (written_off.json()["status"], written_off.json()["balance"]["amount"]) == ("written_off", "0.00")
    assert refused.json()["type"] == "urn:nilecare:rule:LargeWriteOffNeedsASecondApprover"
    assert alone.json()["type"] == "urn:nilecare:rule:ApproverMustBeAnotherPerson"
    assert [each["request_id"] for each in listed] == [request["request_id"]]
    assert [entry["action"] for entry in log] == ["adjustment_posted", "written_off", "write_off_requested"]


async def test_a_credit_note_above_the_limit_over_http(billing: Workplace) -> None:
    """It is asked for, and another manager decides."""
    invoice = await invoiced(billing, "900.00")
    note = {"amount": {"amount": "600.00", "currency": "USD"}, "reason": "wrong"}
    async with billing.client("billing_manager", at=FACILITY) as manager:
        refused = await manager.post(f"/invoices/{invoice.invoice_id}/credit-notes", json=note)
        request = (await manager.post(f"/invoices/{invoice.invoice_id}/credit-note-requests", json=note)).json()
        path = f"/credit-note-requests/{request['credit_note_request_id']}"
        alone = await manager.post(f"{path}/approve")
    assert refused.json()["type"] == "urn:nilecare:rule:LargeCreditNoteNeedsASecondApprover"
    assert alone.json()["type"] == "urn:nilecare:rule:ApproverMustBeAnotherPerson"
    async with billing.client("billing_manager", at=FACILITY, subject="another") as another:
        [listed] = (await another.get("/credit-note-requests", params={"status": "requested"})).json()["items"]
        assert (listed["requested"]["amount"], listed["requested_by"]) == ("600.00", "tester")
        assert (await another.post(f"{path}/approve")).json()["status"] == "approved"
        assert (await another.post(f"{path}/refuse")).json()["type"] == "urn:nilecare:rule:RequestCannotBecome"
        [numbered] = (await another.get(f"/invoices/{invoice.invoice_id}/credit-notes")).json()["items"]
    assert (numbered["issued_by"], numbered["approved_by"]) == ("tester", "another")


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


async def test_a_credit_note_over_http(billing: Workplace) -> None:
    """By a manager; the invoice's adjustments say that it was one, and the credit is applied to another invoice."""
    invoice, other = await invoiced(billing, "10.00"), await invoiced(billing, "3.00")
    await billing.deliver(paid("10.00", invoice_id=invoice.invoice_id))
    note = {"amount": {"amount": "4.00", "currency": "USD"}, "reason": "wrong"}
    async with billing.client("billing_manager", at=FACILITY) as manager:
        issued = await manager.post(f"/invoices/{invoice.invoice_id}/credit-notes", json=note)
        [adjustment] = (await manager.get(f"/invoices/{invoice.invoice_id}/adjustments")).json()["items"]
        [credit] = (await manager.get("/credits")).json()["items"]
        applied = await manager.post(f"/credits/{credit['credit_id']}/apply", json={"invoice_id": str(other.invoice_id)})
        [left] = (await manager.get("/credits")).json()["items"]
    async with billing.client("billing_clerk", at=FACILITY) as clerk:
        assert (await clerk.post(f"/invoices/{invoice.invoice_id}/credit-notes", json=note)).status_code == 403
        [numbered] = (await clerk.get(f"/invoices/{invoice.invoice_id}/credit-notes")).json()["items"]
    assert issued.json()["number"] == numbered["number"] == "CRN-000001"
    assert adjustment["reason_code"] == "credit_note"
    assert (applied.json()["status"], left["left"]["amount"]) == ("paid", "1.00")


async def test_a_coupon_over_http(billing: Workplace) -> None:
    """Made by a manager and redeemed by a cashier; one key is one redemption."""
    invoice = await invoiced(billing, "10.00")
    terms = {
        "facility_id": str(FACILITY),
        "code": "WELCOME",
        "stacking": "exclusive",
        "percent": "25",
        "valid_from": "2026-01-01",
        "valid_to": "2999-12-31",
        "most_redemptions": 1,
    }
    async with billing.client("billing_manager", at=FACILITY) as manager:
        made = await manager.post("/coupons", json=terms)
        both = await manager.post("/coupons", json=terms | {"amount": {"amount": "1.00", "currency": "USD"}})
        backwards = await manager.post("/coupons", json=terms | {"valid_to": "2025-12-31"})
    key = {"Idempotency-Key": str(uuid4())}
    async with billing.client("cashier", at=FACILITY) as cashier:
        redeem, code = f"/invoices/{invoice.invoice_id}/coupons", {"code": "WELCOME"}
        first, again = [await cashier.post(redeem, json=code, headers=key) for _ in range(2)]
        [shown] = (await cashier.get("/coupons")).json()["items"]
        unknown = await cashier.post(redeem, json={"code": "NONE"})
    assert made.status_code == 201
    assert (both.status_code, backwards.status_code, unknown.status_code) == (422, 422, 404)
    assert (first.json(), first.json()["amount"]) == (again.json(), "2.50")
    assert (shown["status"], shown["redemptions"]) == ("exhausted", 1)


async def test_a_claim_over_http(billing: Workplace) -> None:
    """From the policy to the remittance, by a clerk; a diagnosis is ICD-10-CM or refused without being quoted."""
    invoice = await invoiced(billing, "100.00")
    policy = {
        "patient_id": str(PATIENT),
        "facility_id": str(FACILITY),
        "payer": "The payer",
        "policy_number": "P-1",
        "coverage_order": "primary",
        "effective_from": "2020-01-01",
    }
    money = {"currency": "USD"}
    line = {"paid": money | {"amount": "70.00"}, "contractual": money | {"amount": "20.00"}}
    answer = {"lines": [line | {"position": 0, "patient_responsibility": money | {"amount": "10.00"}}]}
    async with billing.client("billing_clerk", at=FACILITY) as clerk:
        added = (await clerk.post("/insurance-policies", json=policy)).json()
        asked = {"invoice_id": str(invoice.invoice_id), "policy_id": added["policy_id"]}
        wrong = await clerk.post("/claims", json=asked | {"diagnosis_codes": ["sugar"]})
        claim = (await clerk.post("/claims", json=asked | {"diagnosis_codes": ["E11.9"]})).json()
        for step in ("ready", "submit", "accept"):
            reply = await clerk.post(f"/claims/{claim['claim_id']}/{step}", json={} if step == "ready" else None)
            assert reply.status_code == 200, reply.text
        posted = await clerk.post(f"/claims/{claim['claim_id']}/remittance", json=answer)
        listed = (await clerk.get("/claims", params={"status": "paid"})).json()["items"]
        policies = (await clerk.get("/insurance-policies", params={"patient_id": str(PATIENT)})).json()["items"]
    assert wrong.status_code == 422
    assert "sugar" not in wrong.text
    assert [(each["contractual_amount"], each["patient_amount"]) for each in posted.json()["lines"]] == [("20.00", "10.00")]
    assert [each["claim_id"] for each in listed] == [claim["claim_id"]]
    assert [each["policy_id"] for each in policies] == [added["policy_id"]]
    async with billing.client("billing_clerk", at=OTHER_FACILITY) as stranger:
        assert (await stranger.get(f"/claims/{claim['claim_id']}")).status_code == 404


async def test_an_account_goes_to_collections_over_http(billing: Workplace) -> None:
    """By a manager, and back again."""
    invoice = await invoiced(billing, "10.00", due_on=date(2026, 1, 1))
    await billing.deliver(InvoiceDue(invoice_id=invoice.invoice_id))
    asked = {"patient_id": str(PATIENT), "facility_id": str(FACILITY), "currency": "USD"}
    async with billing.client("billing_manager", at=FACILITY) as manager:
        case = (await manager.post("/collections", json=asked)).json()
        twice = await manager.post("/collections", json=asked)
        [listed] = (await manager.get("/collections", params={"status": "open"})).json()["items"]
        recalled = await manager.post(f"/collections/{case['case_id']}/recall")
    assert (case["balance"]["amount"], listed["case_id"]) == ("10.00", case["case_id"])
    assert twice.json()["type"] == "urn:nilecare:rule:AccountIsInCollectionsAlready"
    assert recalled.json()["status"] == "recalled"


async def test_a_dispute_shows_on_its_invoice(billing: Workplace) -> None:
    """How much of what was paid is on hold; a refund shows as the reversal of an allocation."""
    invoice = await invoiced(billing, "10.00")
    payment = paid("10.00", invoice_id=invoice.invoice_id)
    await billing.deliver(payment)
    await billing.deliver(disputed(payment, "6.00")[0])
    await billing.deliver(refunded(payment, "4.00"))
    async with billing.client("cashier", at=FACILITY) as cashier:
        shown = (await cashier.get(f"/invoices/{invoice.invoice_id}")).json()
        entries = (await cashier.get(f"/invoices/{invoice.invoice_id}/allocations")).json()["items"]
    assert (shown["on_hold"]["amount"], shown["balance"]["amount"]) == ("6.00", "4.00")
    allocations = {entry["allocation_id"]: entry["amount"] for entry in entries if entry["reverses_id"] is None}
    assert list(allocations.values()) == ["10.00"]
    [reversal] = [entry for entry in entries if entry["reverses_id"]]
    assert (reversal["amount"], reversal["reverses_id"] in allocations) == ("-4.00", True)
