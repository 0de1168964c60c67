"""Money that goes back (flow 16): refunded, or disputed by its payer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from broker.testing import Flow
from contracts.billing import InvoiceDue, InvoicePaid, InvoiceReopened
from contracts.payment import DisputeLost, DisputeOpened, DisputeWon, RefundFailed, RefundSucceeded
from tests.flows.hospital import Hospital, Person, money
from tests.flows.running import Running
from tests.flows.till import answers, by_colleague, dispute_of, pays_cash, refunds

DUE = timedelta(days=31)


async def invoice_of(hospital: Hospital, invoice: Any) -> tuple[str, Any]:
    """The invoice's state and balance, as billing shows them."""
    shown = await hospital.shows("billing", f"/invoices/{invoice['invoice_id']}")
    return shown["status"], shown["balance"]


async def on_hold(hospital: Hospital, invoice: Any) -> Any:
    """How much of the invoice is disputed."""
    return (await hospital.shows("billing", f"/invoices/{invoice['invoice_id']}"))["on_hold"]


@pytest.fixture
async def person(hospital: Hospital) -> Person:
    return await hospital.registers()


@pytest.mark.parametrize("token", ["tok_visa", "tok_refund_pending"])
async def test_a_refund_opens_the_invoice_again(flow: Flow, hospital: Hospital, person: Person, token: str) -> None:
    """By exactly what went back, also when the provider takes its time; it can be paid again, and is settled to the cent."""
    invoice = await hospital.invoices(person)
    async with flow.started_by(hospital.pays(invoice, token)) as f:
        await f.published(InvoicePaid, by="billing").once()
        await f.over()
        await refunds(hospital, f.result, "5.00")
        refunded = await f.published(RefundSucceeded, by="payment").once()
        await f.handled(refunded, by=["billing", "notification"])
        reopened = await f.published(InvoiceReopened, by="billing", reason="refund").once()
        await f.handled(reopened, by="notification")
        f.scheduled(InvoiceDue, within=DUE)
        f.never(RefundFailed)
        await f.again(backwards=True)
    assert (await hospital.shows("payment", f"/refunds/{refunded.event.refund_id}"))["status"] == "succeeded"
    assert await invoice_of(hospital, invoice) == ("partially_paid", money("5.00"))
    [left] = await hospital.owed(person)
    async with flow.started_by(hospital.pays(left, "tok_visa")) as f:
        await f.published(InvoicePaid, by="billing").once()
    assert await invoice_of(hospital, invoice) == ("paid", money("0.00"))


async def test_a_refused_refund_changes_nothing(flow: Flow, hospital: Hospital, person: Person) -> None:
    """The invoice stays paid; the money can be given back another time."""
    invoice = await hospital.invoices(person)
    paid = await hospital.pays(invoice, "tok_refund_declined")
    async with flow.started_by(refunds(hospital, paid, "12.50")) as f:
        failed = await f.published(RefundFailed, by="payment").once()
        await f.handled(failed, by="notification")
        f.never(RefundSucceeded)
        f.never(InvoiceReopened)
    shown = await hospital.shows("payment", f"/refunds/{failed.event.refund_id}")
    assert (shown["status"], shown["failure_code"]) == ("failed", "card_account_closed")
    assert await invoice_of(hospital, invoice) == ("paid", money("0.00"))
    await refunds(hospital, paid, "12.50")


async def test_a_lost_answer_to_a_refund_is_pending(running: Running, flow: Flow, hospital: Hospital, person: Person) -> None:
    """Until the provider has said what became of it; no more can be refunded meanwhile, and it goes back once."""
    invoice = await hospital.invoices(person)
    paid = await hospital.pays(invoice, "tok_lost_answer_and_webhook")
    provider = running.outside.provider
    async with flow.started_by() as f:
        with provider.silent():
            refund = (await refunds(hospital, paid, "12.50"))["refund_id"]
            await f.called("refund", by="payment", state="unknown")
            assert (await hospital.shows("payment", f"/refunds/{refund}"))["status"] == "pending"
            asked = {"amount": money("0.01"), "reason": "charged twice"}
            path = f"/payments/{paid['payment_id']}/refunds"
            refused = await hospital.ask("payment", "POST", path, asked, status=409)
            assert refused["type"] == "urn:nilecare:rule:AmountIsMoreThanCanBeRefunded"
            assert await invoice_of(hospital, invoice) == ("paid", money("0.00"))
        await f.handled(await f.published(RefundSucceeded, by="payment").once(), by="billing")
        await f.published(InvoiceReopened, reason="refund").once()
        f.scheduled(InvoiceDue, within=DUE)
    [given] = [each for each in provider.ledger.refunds.values() if each.reference == refund]
    assert str(given.amount) == "12.50"


async def test_cash_goes_back_by_two_people(flow: Flow, hospital: Hospital, person: Person) -> None:
    """One asks, another pays it out; only then the invoice is open again."""
    invoice = await hospital.invoices(person)
    paid = await pays_cash(hospital, person, "12.50", invoice)
    async with flow.started_by(refunds(hospital, paid, "12.50")) as f:
        path = f"/refunds/{f.result['refund_id']}/pay-out"
        alone = await hospital.ask("payment", "POST", path, status=409)
        assert alone["type"] == "urn:nilecare:rule:RefundNeedsASecondPerson"
        f.never(RefundSucceeded)
    assert await invoice_of(hospital, invoice) == ("paid", money("0.00"))
    async with flow.started_by(by_colleague(hospital, "payment", path)) as f:
        await f.handled(await f.published(RefundSucceeded, by="payment").once(), by="billing")
        await f.published(InvoiceReopened, by="billing", reason="refund").once()
        f.scheduled(InvoiceDue, within=DUE)
    assert await invoice_of(hospital, invoice) == ("issued", money("12.50"))


async def test_a_dispute_that_is_won_is_released(flow: Flow, hospital: Hospital, person: Person) -> None:
    """While it is open the money is on hold, and cannot go back; then it is as if nothing had been."""
    invoice = await hospital.invoices(person)
    async with flow.started_by(hospital.pays(invoice, "tok_dispute")) as f:
        await f.published(InvoicePaid, by="billing").once()
        opened = await f.published(DisputeOpened, by="payment").once()
        await f.handled(opened, by=["billing", "notification"])
        await f.over()
        assert (await on_hold(hospital, invoice)) == money("12.50")
        asked = {"amount": money("0.01"), "reason": "charged twice"}
        path = f"/payments/{opened.event.payment_id}/refunds"
        held = await hospital.ask("payment", "POST", path, asked, status=409)
        assert held["type"] == "urn:nilecare:rule:AmountIsMoreThanCanBeRefunded"
        dispute = await dispute_of(hospital, f.result)
        assert dispute["status"] == "open"
        await answers(hospital, dispute, "winning_evidence")
        await f.handled(await f.published(DisputeWon, by="payment").once(), by="billing")
        f.never(DisputeLost)
        f.never(InvoiceReopened)
    assert (await dispute_of(hospital, f.result))["status"] == "won"
    assert await on_hold(hospital, invoice) == money("0.00")
    assert await invoice_of(hospital, invoice) == ("paid", money("0.00"))


@pytest.mark.parametrize("token", ["tok_dispute", "tok_dispute_reversed"])
async def test_a_dispute_that_is_lost_restores_the_balance(flow: Flow, hospital: Hospital, person: Person, token: str) -> None:
    """Whatever the provider told first: the invoice is open again, once, and can be paid."""
    invoice = await hospital.invoices(person)
    async with flow.started_by(hospital.pays(invoice, token)) as f:
        await f.published(DisputeOpened, by="payment").once()
        if token == "tok_dispute":
            await answers(hospital, await dispute_of(hospital, f.result), "losing_evidence")
        lost = await f.published(DisputeLost, by="payment").once()
        await f.handled(lost, by=["billing", "notification"])
        await f.published(InvoiceReopened, by="billing", reason="dispute_lost").once()
        f.scheduled(InvoiceDue, within=DUE)
        f.never(DisputeWon)
    assert await invoice_of(hospital, invoice) == ("issued", money("12.50"))
    [left] = await hospital.owed(person)
    async with flow.started_by(hospital.pays(left, "tok_visa")) as f:
        await f.published(InvoicePaid, by="billing").once()
    assert await invoice_of(hospital, invoice) == ("paid", money("0.00"))
