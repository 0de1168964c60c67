"""From a completed order to an invoice: when it is issued, over how much, and what becomes of it beside flow 1."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from broker.testing import Flow
from contracts.billing import (
    CreditCreated,
    InvoiceDue,
    InvoiceIssued,
    InvoiceOverdue,
    InvoicePaid,
    InvoicePartiallyPaid,
    InvoiceVoided,
)
from contracts.clinical import EncounterDischarged
from contracts.lab import LabOrderCompleted
from contracts.payment import PaymentCancelled, PaymentInitiated, PaymentSucceeded
from services.payment.replicas import InvoiceReference
from tests.flows.hospital import GLUCOSE, HOUSE, POTASSIUM, PRICES, Hospital, money
from tests.flows.till import by_colleague, takes_cash

DUE = timedelta(days=31)


async def state_of(hospital: Hospital, invoice: Any) -> str:
    return str((await hospital.shows("billing", f"/invoices/{invoice['invoice_id']}"))["status"])


async def test_discharge_invoices_what_was_done(flow: Flow, hospital: Hospital) -> None:
    """A completed order is charged at the facility's prices; the invoice is issued when the encounter is over."""
    person = await hospital.registers()
    encounter = await hospital.admits(person)
    await hospital.completes(person, POTASSIUM, GLUCOSE, encounter=encounter)
    charges = (await hospital.ask("billing", "GET", "/charges", params={"patient_id": person.id})).items
    assert {charge["code"]: charge["price"]["amount"] for charge in charges} == {c: PRICES[c] for c in (POTASSIUM, GLUCOSE)}
    assert await hospital.owed(person) == []
    async with flow.started_by(hospital.discharges(encounter)) as f:
        await f.handled(await f.published(EncounterDischarged).once(), by="billing")
        issued = await f.published(InvoiceIssued, by="billing", patient_id=UUID(person.id)).once()
        await f.replica(InvoiceReference, issued.event.invoice_id).reaches(
            status="issued", open_amount=issued.event.total.amount
        )
        f.scheduled(InvoiceDue, within=DUE)
    [invoice] = await hospital.owed(person)
    assert (invoice["status"], invoice["total"], invoice["encounter_id"]) == ("issued", money("19.75"), encounter)
    assert (await hospital.shows("billing", f"/accounts/{person.id}"))["owed"] == [money("19.75")]


async def test_paid_in_parts(flow: Flow, hospital: Hospital) -> None:
    """The first part leaves the rest open, the second settles it; more cannot be paid by card."""
    person = await hospital.registers()
    invoice = await hospital.invoices(person)
    async with flow.started_by(hospital.pays(invoice, "tok_visa", "5.00")) as f:
        part = await f.published(InvoicePartiallyPaid, by="billing").once()
        await f.handled(part, by="notification")
        await f.replica(InvoiceReference, UUID(invoice["invoice_id"])).reaches(open_amount=part.event.balance.amount)
        f.never(InvoicePaid)
    [left] = await hospital.owed(person)
    assert (left["status"], left["balance"]) == ("partially_paid", money("7.50"))
    too_much = hospital.ask("payment", "POST", "/payments", hospital.card(left, "tok_visa", "7.51"), status=409)
    async with flow.started_by(too_much) as f:
        assert f.result["type"] == "urn:nilecare:rule:AmountIsMoreThanTheOpenBalance"
        f.never(PaymentInitiated)
    async with flow.started_by(hospital.pays(left, "tok_visa")) as f:
        await f.published(InvoicePaid, by="billing").once()
        f.never(InvoicePartiallyPaid)
    assert await state_of(hospital, invoice) == "paid"


async def test_too_much_cash_becomes_a_credit(flow: Flow, hospital: Hospital) -> None:
    """Cash settles the invoice that it was taken for when a second person has counted it; the rest is the patient's."""
    person = await hospital.registers()
    invoice = await hospital.invoices(person)
    async with flow.started_by(takes_cash(hospital, person, "20.00", invoice)) as f:
        path = f"/payments/{f.result['payment_id']}/verify"
        f.never(PaymentSucceeded)
    assert await state_of(hospital, invoice) == "issued"
    async with flow.started_by(by_colleague(hospital, "payment", path)) as f:
        await f.handled(await f.published(PaymentSucceeded, by="payment").once(), by="billing")
        await f.published(InvoicePaid, by="billing").once()
        await f.handled(await f.published(CreditCreated, by="billing").once(), by="notification")
    assert await state_of(hospital, invoice) == "paid"
    assert (await hospital.shows("billing", f"/accounts/{person.id}"))["credit"] == [money("7.50")]


async def test_what_has_no_price_waits_for_one(flow: Flow, hospital: Hospital) -> None:
    """A charge without a price is on no invoice; when the price is set it gets one, although the encounter is long over."""
    elsewhere = Hospital(hospital.running)
    await elsewhere.ask("facility", "PUT", f"/facilities/{elsewhere.id}", HOUSE)
    person = await elsewhere.registers()
    encounter = await elsewhere.admits(person)
    await elsewhere.completes(person, POTASSIUM, encounter=encounter)
    async with flow.started_by(elsewhere.discharges(encounter)) as f:
        f.never(InvoiceIssued)
    async with flow.started_by(elsewhere.price(POTASSIUM, "9.99")) as f:
        await f.published(InvoiceIssued, by="billing", patient_id=UUID(person.id)).once()
        f.scheduled(InvoiceDue, within=DUE)
    [invoice] = await elsewhere.owed(person)
    assert (invoice["total"], invoice["encounter_id"], invoice["status"]) == (money("9.99"), encounter, "issued")
    await elsewhere.close()


async def test_a_result_after_discharge_is_invoiced_by_itself(flow: Flow, hospital: Hospital) -> None:
    """What is completed after the encounter is over gets an invoice of its own."""
    person = await hospital.registers()
    encounter = await hospital.admits(person)
    await hospital.completes(person, POTASSIUM, encounter=encounter)
    order = await hospital.orders(person, GLUCOSE, encounter=encounter)
    await hospital.accepts(order, person)
    await hospital.discharges(encounter)
    result = await hospital.measures(order, GLUCOSE, value=hospital.secret("85.2"), unit="mg/dL")
    async with flow.started_by(hospital.releases(result)) as f:
        await f.handled(await f.published(LabOrderCompleted).once(), by="billing")
        await f.published(InvoiceIssued, by="billing", patient_id=UUID(person.id)).once()
        f.scheduled(InvoiceDue, within=DUE)
    invoices = await hospital.owed(person)
    assert sorted(invoice["total"]["amount"] for invoice in invoices) == sorted([PRICES[POTASSIUM], PRICES[GLUCOSE]])
    numbers = [int(invoice["number"].rpartition("-")[2]) for invoice in invoices]
    assert max(numbers) - min(numbers) == 1


async def test_nobody_pays_an_invoice_that_never_counted(flow: Flow, hospital: Hospital) -> None:
    """A payment that waits for its card is cancelled when the invoice is voided; the charges are invoiced anew."""
    person = await hospital.registers()
    invoice = await hospital.invoices(person)
    waiting = await hospital.ask("payment", "POST", "/payments", hospital.card(invoice, None))
    void = hospital.ask("billing", "POST", f"/invoices/{invoice['invoice_id']}/void", {"reason": "wrong payer"})
    async with flow.started_by(void) as f:
        await f.handled(await f.published(InvoiceVoided, by="billing").once(), by=["payment", "notification"])
        await f.published(PaymentCancelled, by="payment", payment_id=UUID(waiting["payment_id"])).once()
    assert (await hospital.shows("payment", f"/payments/{waiting['payment_id']}"))["status"] == "cancelled"
    asked = {"patient_id": person.id, "facility_id": hospital.id, "encounter_id": invoice["encounter_id"]}
    async with flow.started_by(hospital.ask("billing", "POST", "/invoices", asked)) as f:
        await f.published(InvoiceIssued, by="billing").once()
        f.scheduled(InvoiceDue, within=DUE)
    assert (f.result["total"], f.result["status"]) == (invoice["total"], "issued")


async def test_an_invoice_is_overdue_when_its_day_has_passed(flow: Flow, hospital: Hospital) -> None:
    """Only then, and only if money is open; it can still be paid."""
    late, prompt = await hospital.registers(), await hospital.registers()
    encounters = [await hospital.admits(each) for each in (late, prompt)]
    for person, encounter in zip((late, prompt), encounters, strict=True):
        await hospital.completes(person, POTASSIUM, encounter=encounter)
    async with flow.started_by(*map(hospital.discharges, encounters)) as f:
        await f.published(InvoiceIssued).times(2)
        f.scheduled(InvoiceDue, within=DUE)
        await f.over()
        [unpaid], [paid] = await hospital.owed(late), await hospital.owed(prompt)
        await hospital.pays(paid, "tok_visa")
        await f.published(InvoicePaid).once()
        await flow.advance(days=29)
        await f.over()
        assert await state_of(hospital, unpaid) == "issued"
        await flow.advance(days=3)
        overdue = await f.published(InvoiceOverdue, by="billing").once()
        await f.handled(overdue, by="notification")
        assert str(overdue.event.invoice_id) == unpaid["invoice_id"]
        await f.replica(InvoiceReference, overdue.event.invoice_id).reaches(status="overdue")
        await f.published(InvoiceDue).once()
    assert (await state_of(hospital, unpaid), await state_of(hospital, paid)) == ("overdue", "paid")
    async with flow.started_by(hospital.pays(unpaid, "tok_visa")) as f:
        await f.published(InvoicePaid, by="billing").once()
