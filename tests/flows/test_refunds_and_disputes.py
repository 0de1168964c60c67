"""Money that goes back: refunded, or disputed by its payer (flow 16)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.flows.hospital import Hospital, Person, money
from tests.flows.running import Running
from tests.flows.till import answers, by_colleague, dispute_of, pays_cash, refunds
from tests.waiting import until


async def invoice_of(hospital: Hospital, invoice: Any) -> tuple[str, Any]:
    """The invoice's state and balance, as billing shows them."""
    shown = await hospital.shows("billing", f"/invoices/{invoice['invoice_id']}")
    return shown["status"], shown["balance"]


@pytest.fixture
async def person(hospital: Hospital) -> Person:
    return await hospital.registers()


@pytest.mark.parametrize("token", ["tok_visa", "tok_refund_pending"])
async def test_a_refund_opens_the_invoice_again(running: Running, hospital: Hospital, person: Person, token: str) -> None:
    """By exactly what went back, also when the provider takes its time; it can be paid again, and is settled to the cent."""
    invoice = await hospital.invoices(person)
    paid = await hospital.pays(invoice, token)
    refund = await refunds(hospital, paid, "5.00")
    assert (await hospital.shows("payment", f"/refunds/{refund['refund_id']}"))["status"] == "succeeded"
    told = await running.published(refund.flow) + await running.published(paid.flow)
    assert (told.count("refund.succeeded"), told.count("invoice.reopened")) == (1, 1)
    assert await invoice_of(hospital, invoice) == ("partially_paid", money("5.00"))
    [left] = await hospital.owed(person)
    await hospital.pays(left, "tok_visa")
    assert await invoice_of(hospital, invoice) == ("paid", money("0.00"))


async def test_a_refused_refund_changes_nothing(running: Running, hospital: Hospital, person: Person) -> None:
    """The invoice stays paid; the money can be given back another time."""
    invoice = await hospital.invoices(person)
    paid = await hospital.pays(invoice, "tok_refund_declined")
    refund = await refunds(hospital, paid, "12.50")
    shown = await hospital.shows("payment", f"/refunds/{refund['refund_id']}")
    assert (shown["status"], shown["failure_code"]) == ("failed", "card_account_closed")
    assert "refund.failed" in await running.published(refund.flow, "payment")
    assert await invoice_of(hospital, invoice) == ("paid", money("0.00"))
    await refunds(hospital, paid, "12.50")


async def test_a_lost_answer_to_a_refund_is_pending(running: Running, hospital: Hospital, person: Person) -> None:
    """Until the provider has said what became of it; no more can be refunded meanwhile, and it goes back once."""
    invoice = await hospital.invoices(person)
    paid = await hospital.pays(invoice, "tok_lost_answer_and_webhook")
    asked = {"amount": money("12.50"), "reason": "charged twice"}
    path = f"/payments/{paid['payment_id']}/refunds"
    with running.provider.silent():
        refund = await hospital.begin("payment", "POST", path, asked)

        async def nobody_knows() -> bool:
            query = "SELECT state FROM backbone.call WHERE key = :key AND name = 'refund'"
            return [row.state for row in await running.rows("payment", query, key=paid["payment_id"])] == ["unknown"]

        await until(nobody_knows)
        assert (await hospital.shows("payment", f"/refunds/{refund['refund_id']}"))["status"] == "pending"
        refused = await hospital.begin("payment", "POST", path, asked | {"amount": money("0.01")}, status=409)
        assert refused["type"] == "urn:nilecare:rule:AmountIsMoreThanCanBeRefunded"
    await running.settled(refund.flow)
    assert (await hospital.shows("payment", f"/refunds/{refund['refund_id']}"))["status"] == "succeeded"
    [given] = [each for each in running.provider.ledger.refunds.values() if each.reference == refund["refund_id"]]
    assert str(given.amount) == "12.50"


async def test_cash_goes_back_by_two_people(hospital: Hospital, person: Person) -> None:
    """One asks, another pays it out; only then the invoice is open again."""
    invoice = await hospital.invoices(person)
    refund = await refunds(hospital, await pays_cash(hospital, person, "12.50", invoice), "12.50")
    assert await invoice_of(hospital, invoice) == ("paid", money("0.00"))
    path = f"/refunds/{refund['refund_id']}/pay-out"
    alone = await hospital.ask("payment", "POST", path, status=409)
    assert alone["type"] == "urn:nilecare:rule:RefundNeedsASecondPerson"
    await by_colleague(hospital, "payment", path)
    assert await invoice_of(hospital, invoice) == ("issued", money("12.50"))


async def test_a_dispute_that_is_won_is_released(running: Running, hospital: Hospital, person: Person) -> None:
    """While it is open the money is on hold, and cannot go back; then it is as if nothing had been."""
    invoice = await hospital.invoices(person)
    paid = await hospital.pays(invoice, "tok_dispute")
    dispute = await dispute_of(hospital, paid)
    asked = {"amount": money("0.01"), "reason": "charged twice"}
    held = await hospital.ask("payment", "POST", f"/payments/{paid['payment_id']}/refunds", asked, status=409)
    assert (dispute["status"], held["type"]) == ("open", "urn:nilecare:rule:AmountIsMoreThanCanBeRefunded")
    assert (await hospital.shows("billing", f"/invoices/{invoice['invoice_id']}"))["on_hold"] == money("12.50")
    await answers(hospital, dispute, "winning_evidence")
    await running.settled(paid.flow)
    assert (await dispute_of(hospital, paid))["status"] == "won"
    assert (await hospital.shows("billing", f"/invoices/{invoice['invoice_id']}"))["on_hold"] == money("0.00")
    assert await invoice_of(hospital, invoice) == ("paid", money("0.00"))


@pytest.mark.parametrize("token", ["tok_dispute", "tok_dispute_reversed"])
async def test_a_dispute_that_is_lost_restores_the_balance(
    running: Running, hospital: Hospital, person: Person, token: str
) -> None:
    """Whatever the provider told first: the invoice is open again, once, and can be paid."""
    invoice = await hospital.invoices(person)
    paid = await hospital.pays(invoice, token)
    if token == "tok_dispute":
        await answers(hospital, await dispute_of(hospital, paid), "losing_evidence")
    await running.settled(paid.flow)
    told = await running.published(paid.flow)
    assert [told.count(f"dispute.{what}") for what in ("opened", "lost", "won")] == [1, 1, 0]
    assert await invoice_of(hospital, invoice) == ("issued", money("12.50"))
    [left] = await hospital.owed(person)
    await hospital.pays(left, "tok_visa")
    assert await invoice_of(hospital, invoice) == ("paid", money("0.00"))
