"""A bill from its issue to the receipt (flow 1): what each service says of it, whatever the card does."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from broker.testing import Flow
from contracts.billing import InvoiceChanged, InvoiceDue, InvoiceIssued, InvoicePaid
from contracts.clinical import EncounterDischarged
from contracts.notification import NotificationDelivered
from contracts.payment import PaymentAuthorized, PaymentFailed, PaymentInitiated, PaymentSucceeded
from services.payment.replicas import InvoiceReference
from tests.flows.hospital import POTASSIUM, Hospital, Person, money
from tests.flows.running import Running

DUE = timedelta(days=31)


async def reachable(hospital: Hospital) -> tuple[Person, str]:
    """A new patient, and their mailbox."""
    person, asked = hospital.new_person()
    email = hospital.secret("amal+") + "@nile.example"
    registration = await hospital.ask("clinical", "POST", "/patients", asked | {"email": email})
    return Person(registration["patient_id"], person.name, person.number, person.born), email


async def is_settled(hospital: Hospital, person: Person, invoice: Any) -> None:
    """The invoice is paid to the cent, by one payment, and the patient's record shows it once."""
    invoice_id = invoice["invoice_id"]
    shown = await hospital.shows("billing", f"/invoices/{invoice_id}")
    assert (shown["status"], shown["balance"], shown["allocated"]) == ("paid", money("0.00"), invoice["total"])
    [allocation] = (await hospital.ask("billing", "GET", f"/invoices/{invoice_id}/allocations")).items
    assert allocation["amount"] == invoice["total"]["amount"]
    _, [entry] = await hospital.record(person)
    assert (entry["invoice_id"], entry["encounter_id"]) == (invoice_id, invoice["encounter_id"])
    assert money(entry["amount"]) == invoice["total"]
    assert (await hospital.shows("billing", f"/accounts/{person.id}"))["owed"] == []


async def is_open(hospital: Hospital, person: Person, invoice: Any) -> None:
    """The invoice is as it was issued, and no record says otherwise."""
    [still] = await hospital.owed(person)
    assert (still["status"], still["balance"]) == ("issued", invoice["total"])
    assert (await hospital.record(person))[1] == []


async def test_a_bill_is_issued_paid_and_acknowledged(running: Running, flow: Flow, hospital: Hospital) -> None:
    """Discharge, invoice, card, allocation, mail and record, each following from the one before.

    The provider says twice that the money is here, and so does the broker: one allocation, one receipt, one entry.
    """
    person, email = await reachable(hospital)
    encounter = await hospital.admits(person)
    await hospital.completes(person, POTASSIUM, encounter=encounter)
    async with flow.started_by(hospital.discharges(encounter)) as f:
        discharged = await f.published(EncounterDischarged, by="clinical", encounter_id=UUID(encounter)).once()
        await f.handled(discharged, by="billing")
        issued = await f.published(InvoiceIssued, by="billing", patient_id=UUID(person.id)).once()
        await f.replica(InvoiceReference, issued.event.invoice_id).reaches(status="issued")
        await f.handled(issued, by="notification")
        await f.published(NotificationDelivered, topic="invoice.issued").once()
        f.scheduled(InvoiceDue, within=DUE)
    [invoice] = await hospital.owed(person)
    async with flow.started_by(hospital.pays(invoice, "tok_duplicate_webhook")) as f:
        await f.published(PaymentInitiated, by="payment").once()
        await f.published(PaymentAuthorized, by="payment").once()
        await f.handled(await f.published(PaymentSucceeded, by="payment").once(), by="billing")
        paid = await f.published(InvoicePaid, by="billing", invoice_id=issued.event.invoice_id).once()
        await f.handled(paid, by=["clinical", "notification"])
        await f.published(NotificationDelivered, topic="invoice.paid", recipient_id=UUID(person.id)).once()
        f.never(PaymentFailed)
        await f.again(backwards=True)
    await is_settled(hospital, person, invoice)
    subjects = [mail.subject for mail in running.outside.mails.mails_to(email)]
    assert [subjects.count(f"Invoice {invoice['number']} {end}") for end in ("of Khartoum General", "is paid")] == [1, 1]


@pytest.mark.parametrize(
    "token", ["tok_webhook_first", "tok_webhook_reversed", "tok_slow", "tok_lost_answer", "tok_lost_answer_and_webhook"]
)
async def test_however_the_provider_tells_it(flow: Flow, hospital: Hospital, token: str) -> None:
    """Webhooks first or reversed, answers late or lost: the money is allocated once, and never was it failed."""
    person = await hospital.registers()
    invoice = await hospital.invoices(person)
    async with flow.started_by(hospital.pays(invoice, token)) as f:
        await f.handled(await f.published(PaymentSucceeded, by="payment").once(), by="billing")
        await f.handled(await f.published(InvoicePaid, by="billing").once(), by="clinical")
        f.never(PaymentFailed)
    await is_settled(hospital, person, invoice)


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("tok_declined", "card_declined"),
        ("tok_insufficient_funds", "insufficient_funds"),
        ("tok_capture_declined", "expired_card"),
    ],
)
async def test_a_failed_payment_leaves_the_bill_open(
    running: Running, flow: Flow, hospital: Hospital, token: str, reason: str
) -> None:
    """The patient is told to try again, once, whatever is heard twice; then another card pays, and the bill is acknowledged."""
    person, email = await reachable(hospital)
    invoice = await hospital.invoices(person)
    async with flow.started_by(hospital.pays(invoice, token)) as f:
        failed = await f.published(PaymentFailed, by="payment", reason=reason).once()
        await f.handled(failed, by="notification")
        await f.published(NotificationDelivered, topic="payment.failed").once()
        f.never(PaymentSucceeded)
        f.never(InvoicePaid)
        await f.again(backwards=True)
    payment = await hospital.shows("payment", f"/payments/{failed.event.payment_id}")
    assert (payment["status"], payment["decline_code"]) == ("failed", reason)
    await is_open(hospital, person, invoice)
    [retry] = [mail for mail in running.outside.mails.mails_to(email) if mail.subject == "Your payment did not go through"]
    assert invoice["number"] in retry.body
    async with flow.started_by(hospital.pays(invoice, "tok_visa")) as f:
        await f.handled(await f.published(InvoicePaid, by="billing").once(), by=["clinical", "notification"])
        await f.published(NotificationDelivered, topic="invoice.paid").once()
    await is_settled(hospital, person, invoice)


async def test_a_lost_answer_is_pending_until_it_is_known(running: Running, flow: Flow, hospital: Hospital) -> None:
    """Nobody knows whether the card was charged: the payment goes on, no other may take its place, and then it is resolved."""
    person = await hospital.registers()
    invoice = await hospital.invoices(person)
    async with flow.started_by() as f:
        with running.outside.provider.silent():
            payment_id = (await hospital.pays(invoice, "tok_lost_answer_and_webhook"))["payment_id"]
            await f.called("authorise_card", by="payment", state="unknown")
            assert (await hospital.shows("payment", f"/payments/{payment_id}"))["status"] == "processing"
            await is_open(hospital, person, invoice)
            refused = await hospital.ask("payment", "POST", "/payments", hospital.card(invoice, "tok_visa"), status=409)
            assert refused["type"] == "urn:nilecare:rule:AmountIsMoreThanTheOpenBalance"
        await f.published(PaymentSucceeded, by="payment").once()
        await f.published(InvoicePaid, by="billing").once()
        f.never(PaymentFailed)
    await is_settled(hospital, person, invoice)


async def test_a_payment_asked_for_twice_is_one(flow: Flow, hospital: Hospital) -> None:
    """The same request under one Idempotency-Key gets the same payment."""
    person = await hospital.registers()
    invoice = await hospital.invoices(person)
    asked = ("payment", "POST", "/payments", hospital.card(invoice, "tok_visa"))
    key = {"Idempotency-Key": str(uuid4())}
    async with flow.started_by(hospital.ask(*asked, headers=key), hospital.ask(*asked, headers=key)) as f:
        first, second = f.results
        await f.published(PaymentInitiated).once()
        await f.published(PaymentSucceeded).once()
        await f.published(InvoicePaid).once()
        await f.published(InvoiceChanged).once()
    assert first.body == second.body
    assert second.headers["Idempotency-Replayed"] == "true"
    await is_settled(hospital, person, invoice)
