"""From a completed order to an invoice that is paid, or not."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests.flows.hospital import GLUCOSE, HOUSE, POTASSIUM, PRICES, Hospital, Person, money
from tests.flows.running import Running
from tests.flows.till import by_colleague, takes_cash
from tests.waiting import until


async def state_of(hospital: Hospital, invoice: Any) -> str:
    return str((await hospital.shows("billing", f"/invoices/{invoice['invoice_id']}"))["status"])


async def assert_paid_once(running: Running, hospital: Hospital, person: Person, invoice: Any) -> None:
    """The invoice is settled to the cent, by one payment, and the patient's record shows it once."""
    invoice_id = invoice["invoice_id"]
    shown = await hospital.shows("billing", f"/invoices/{invoice_id}")
    assert (shown["status"], shown["balance"], shown["allocated"]) == ("paid", money("0.00"), invoice["total"])
    [allocation] = (await hospital.ask("billing", "GET", f"/invoices/{invoice_id}/allocations")).items
    assert allocation["amount"] == invoice["total"]["amount"]
    _, [entry] = await hospital.record(person)
    assert (entry["invoice_id"], entry["encounter_id"]) == (invoice_id, invoice["encounter_id"])
    assert money(entry["amount"]) == invoice["total"]
    about = "SELECT type FROM backbone.published WHERE key = :key"
    assert Counter(await running.rows("billing", about, key=invoice_id))[("invoice.paid",)] == 1
    assert (await hospital.shows("billing", f"/accounts/{person.id}"))["owed"] == []


async def test_discharge_invoices_what_was_done(running: Running, hospital: Hospital) -> None:
    """A completed order is charged at the facility's prices; the invoice is issued when the encounter is over."""
    person = await hospital.registers()
    encounter = await hospital.admits(person)
    await hospital.completes(person, POTASSIUM, GLUCOSE, encounter=encounter)
    charges = (await hospital.ask("billing", "GET", "/charges", params={"patient_id": person.id})).items
    assert {charge["code"]: charge["price"]["amount"] for charge in charges} == {c: PRICES[c] for c in (POTASSIUM, GLUCOSE)}
    assert await hospital.owed(person) == []
    discharge = await hospital.discharges(encounter)
    [invoice] = await hospital.owed(person)
    assert (invoice["status"], invoice["total"], invoice["encounter_id"]) == ("issued", money("19.75"), encounter)
    assert sorted(await running.published(discharge.flow, "billing")) == ["invoice.changed", "invoice.issued"]
    assert (await hospital.shows("billing", f"/accounts/{person.id}"))["owed"] == [money("19.75")]


async def test_a_card_is_authorised_then_captured(running: Running, hospital: Hospital) -> None:
    """The payment's events tell the story in order, the invoice is paid, and clinical shows it."""
    person = await hospital.registers()
    invoice = await hospital.invoices(person)
    paying = await hospital.pays(invoice, "tok_visa")
    assert paying["status"] == "processing"
    assert (await hospital.shows("payment", f"/payments/{paying['payment_id']}"))["status"] == "succeeded"
    told = [type_ for type_ in await running.published(paying.flow, "payment") if type_ != "payment.changed"]
    assert told == ["payment.initiated", "payment.authorized", "payment.succeeded"]
    assert sorted(await running.published(paying.flow, "billing")) == ["invoice.changed", "invoice.paid"]
    await assert_paid_once(running, hospital, person, invoice)


@pytest.mark.parametrize(
    "token",
    [
        "tok_duplicate_webhook",
        "tok_webhook_first",
        "tok_webhook_reversed",
        "tok_slow",
        "tok_lost_answer",
        "tok_lost_answer_and_webhook",
    ],
)
async def test_however_the_provider_tells_it(running: Running, hospital: Hospital, token: str) -> None:
    """Webhooks twice, first or reversed, answers late or lost: the money is allocated once, and never was it failed."""
    person = await hospital.registers()
    invoice = await hospital.invoices(person)
    paying = await hospital.pays(invoice, token)
    told = await running.published(paying.flow, "payment")
    assert (told.count("payment.succeeded"), told.count("payment.failed")) == (1, 0)
    await assert_paid_once(running, hospital, person, invoice)


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("tok_declined", "card_declined"),
        ("tok_insufficient_funds", "insufficient_funds"),
        ("tok_capture_declined", "expired_card"),
    ],
)
async def test_a_declined_card_leaves_the_invoice_open(running: Running, hospital: Hospital, token: str, reason: str) -> None:
    """The payment failed with the provider's reason; another card can still pay."""
    person = await hospital.registers()
    invoice = await hospital.invoices(person)
    paying = await hospital.pays(invoice, token)
    payment = await hospital.shows("payment", f"/payments/{paying['payment_id']}")
    assert (payment["status"], payment["decline_code"]) == ("failed", reason)
    assert await state_of(hospital, invoice) == "issued"
    assert (await hospital.record(person))[1] == []
    await hospital.pays(invoice, "tok_visa")
    await assert_paid_once(running, hospital, person, invoice)


async def test_a_lost_answer_is_pending_until_it_is_known(running: Running, hospital: Hospital) -> None:
    """Nobody knows whether the card was charged: the payment goes on, no other may take its place, and then it is resolved."""
    person = await hospital.registers()
    invoice = await hospital.invoices(person)
    with running.provider.silent():
        paying = await hospital.begin("payment", "POST", "/payments", hospital.card(invoice, "tok_lost_answer_and_webhook"))
        payment_id = paying["payment_id"]

        async def nobody_knows() -> bool:
            query = "SELECT state FROM backbone.call WHERE key = :key"
            return [row.state for row in await running.rows("payment", query, key=payment_id)] == ["unknown"]

        await until(nobody_knows)
        assert (await hospital.shows("payment", f"/payments/{payment_id}"))["status"] == "processing"
        assert await state_of(hospital, invoice) == "issued"
        refused = await hospital.begin("payment", "POST", "/payments", hospital.card(invoice, "tok_visa"), status=409)
        assert refused["type"] == "urn:nilecare:rule:AmountIsMoreThanTheOpenBalance"
        assert not await running.flows.is_over(paying.flow)
    await running.settled(paying.flow)
    assert "payment.failed" not in await running.published(paying.flow, "payment")
    await assert_paid_once(running, hospital, person, invoice)


async def test_a_payment_asked_for_twice_is_one(running: Running, hospital: Hospital) -> None:
    """The same request under one Idempotency-Key gets the same payment."""
    person = await hospital.registers()
    invoice = await hospital.invoices(person)
    key = {"Idempotency-Key": str(uuid4())}
    replies = [
        await hospital.ask("payment", "POST", "/payments", hospital.card(invoice, "tok_visa"), headers=key) for _ in range(2)
    ]
    assert replies[0].body == replies[1].body
    assert replies[1].headers["Idempotency-Replayed"] == "true"
    await assert_paid_once(running, hospital, person, invoice)


async def test_paid_in_parts(running: Running, hospital: Hospital) -> None:
    """The first part leaves the rest open, the second settles it; more cannot be paid by card."""
    person = await hospital.registers()
    invoice = await hospital.invoices(person)
    first = await hospital.pays(invoice, "tok_visa", "5.00")
    assert "invoice.partially_paid" in await running.published(first.flow, "billing")
    [left] = await hospital.owed(person)
    assert (left["status"], left["balance"]) == ("partially_paid", money("7.50"))
    too_much = await hospital.ask("payment", "POST", "/payments", hospital.card(left, "tok_visa", "7.51"), status=409)
    assert too_much["type"] == "urn:nilecare:rule:AmountIsMoreThanTheOpenBalance"
    await hospital.pays(left, "tok_visa")
    assert await state_of(hospital, invoice) == "paid"


async def test_too_much_cash_becomes_a_credit(hospital: Hospital) -> None:
    """Cash settles the invoice that it was taken for when a second person has counted it; the rest is the patient's."""
    person = await hospital.registers()
    invoice = await hospital.invoices(person)
    taken = await takes_cash(hospital, person, "20.00", invoice)
    assert await state_of(hospital, invoice) == "issued"
    await by_colleague(hospital, "payment", f"/payments/{taken['payment_id']}/verify")
    assert await state_of(hospital, invoice) == "paid"
    assert (await hospital.shows("billing", f"/accounts/{person.id}"))["credit"] == [money("7.50")]


async def test_what_has_no_price_waits_for_one(hospital: Hospital) -> None:
    """A charge without a price is on no invoice; when the price is set it gets one, although the encounter is long over."""
    elsewhere = Hospital(hospital.running)
    await elsewhere.ask("facility", "PUT", f"/facilities/{elsewhere.id}", HOUSE)
    person = await elsewhere.registers()
    encounter = await elsewhere.admits(person)
    await elsewhere.completes(person, POTASSIUM, encounter=encounter)
    await elsewhere.discharges(encounter)
    assert await elsewhere.owed(person) == []
    await elsewhere.price(POTASSIUM, "9.99")
    [invoice] = await elsewhere.owed(person)
    assert (invoice["total"], invoice["encounter_id"], invoice["status"]) == (money("9.99"), encounter, "issued")
    await elsewhere.close()


async def test_a_result_after_discharge_is_invoiced_by_itself(hospital: Hospital) -> None:
    """What is completed after the encounter is over gets an invoice of its own."""
    person = await hospital.registers()
    encounter = await hospital.admits(person)
    await hospital.completes(person, POTASSIUM, encounter=encounter)
    order = await hospital.orders(person, GLUCOSE, encounter=encounter)
    await hospital.accepts(order, person)
    await hospital.discharges(encounter)
    await hospital.releases(await hospital.measures(order, GLUCOSE, value=hospital.secret("85.2"), unit="mg/dL"))
    invoices = await hospital.owed(person)
    assert sorted(invoice["total"]["amount"] for invoice in invoices) == sorted([PRICES[POTASSIUM], PRICES[GLUCOSE]])
    numbers = [int(invoice["number"].rpartition("-")[2]) for invoice in invoices]
    assert max(numbers) - min(numbers) == 1


async def test_nobody_pays_an_invoice_that_never_counted(hospital: Hospital) -> None:
    """A payment that waits for its card is cancelled when the invoice is voided; the charges are invoiced anew."""
    person = await hospital.registers()
    invoice = await hospital.invoices(person)
    waiting = await hospital.ask("payment", "POST", "/payments", hospital.card(invoice, None))
    await hospital.ask("billing", "POST", f"/invoices/{invoice['invoice_id']}/void", {"reason": "wrong payer"})
    assert (await hospital.shows("payment", f"/payments/{waiting['payment_id']}"))["status"] == "cancelled"
    asked = {"patient_id": person.id, "facility_id": hospital.id, "encounter_id": invoice["encounter_id"]}
    again = await hospital.ask("billing", "POST", "/invoices", asked)
    assert (again["total"], again["status"]) == (invoice["total"], "issued")


async def test_an_invoice_is_overdue_when_its_day_has_passed(running: Running, hospital: Hospital) -> None:
    """Only then, and only if money is open; it can still be paid."""
    late, prompt = await hospital.registers(), await hospital.registers()
    unpaid, paid = await hospital.invoices(late), await hospital.invoices(prompt)
    await hospital.pays(paid, "tok_visa")
    await running.move_clock(timedelta(days=29))
    assert await state_of(hospital, unpaid) == "issued"
    await running.move_clock(timedelta(days=3))
    assert (await state_of(hospital, unpaid), await state_of(hospital, paid)) == ("overdue", "paid")
    [reference] = await running.rows("payment", "SELECT status FROM invoice_reference WHERE id = :id", id=unpaid["invoice_id"])
    assert reference.status == "overdue"
    await hospital.pays(unpaid, "tok_visa")
    await assert_paid_once(running, hospital, late, unpaid)
