"""A bill from its issue to the receipt: what each service says of it, in order, whatever the card does (flow 1)."""

from __future__ import annotations

from typing import Any

from tests.flows.again import hear_again
from tests.flows.drawn import drawn
from tests.flows.hospital import POTASSIUM, Hospital, Person
from tests.flows.running import Running
from tests.flows.spoken import attributes

ISSUED, FAILED, PAID = "invoice.issued", "payment.failed", "invoice.paid"
TOLD = "SELECT topic, status FROM notifications WHERE recipient_id = :patient AND topic = ANY (:topics) ORDER BY queued_at"


async def reachable(hospital: Hospital) -> tuple[Person, str]:
    """A new patient, and their mailbox."""
    person, asked = hospital.new_person()
    email = hospital.secret("amal+") + "@nile.example"
    registration = await hospital.ask("clinical", "POST", "/patients", asked | {"email": email})
    return Person(registration["patient_id"], person.name, person.number, person.born), email


async def told(running: Running, person: Person) -> list[tuple[str, str]]:
    """What the patient was told of the bill, and what became of it."""
    rows = await running.rows("notification", TOLD, patient=person.id, topics=[ISSUED, FAILED, PAID])
    return [tuple(row) for row in rows]


async def chain(running: Running, flow: Any, *types: str) -> list[str]:
    """Those of these types that stand in a flow's diagram, from top to bottom."""
    lines = (await drawn(running, flow)).splitlines()
    said = [line.partition(": ")[2].partition("<br/>")[0] for line in lines if "-)" in line]
    return list(dict.fromkeys(type_ for type_ in said if type_ in types))


async def test_a_bill_is_issued_paid_and_acknowledged(running: Running, hospital: Hospital) -> None:
    """Discharge, invoice, card, allocation, mail and record, each following from the one before.

    The provider says twice that the money is here, and so does the broker: one allocation, one receipt, one entry.
    """
    person, email = await reachable(hospital)
    encounter = await hospital.admits(person)
    await hospital.completes(person, POTASSIUM, encounter=encounter)
    discharge = await hospital.discharges(encounter)
    assert await chain(running, discharge.flow, "encounter.discharged", ISSUED) == ["encounter.discharged", ISSUED]
    [invoice] = await hospital.owed(person)
    assert await told(running, person) == [(ISSUED, "delivered")]
    paying = await hospital.pays(invoice, "tok_duplicate_webhook")
    followed = await chain(running, paying.flow, "payment.succeeded", PAID)
    assert followed == ["payment.succeeded", PAID]
    assert (await running.published(paying.flow)).count("notification.sent") == 1
    of_flow = [each for each in running.overheard.messages.values() if attributes(each)["correlationid"] == str(paying.flow)]
    await hear_again(running, of_flow)
    await running.settled()
    [allocation] = (await hospital.ask("billing", "GET", f"/invoices/{invoice['invoice_id']}/allocations")).items
    assert allocation["amount"] == invoice["total"]["amount"]
    assert await told(running, person) == [(ISSUED, "delivered"), (PAID, "delivered")]
    assert [mail.subject for mail in running.mails.mails_to(email)].count(f"Invoice {invoice['number']} is paid") == 1
    _, [entry] = await hospital.record(person)
    assert (entry["invoice_id"], entry["encounter_id"]) == (invoice["invoice_id"], encounter)


async def test_a_failed_payment_leaves_the_bill_open(running: Running, hospital: Hospital) -> None:
    """The patient is told to try again, once, whatever is heard twice; then another card pays, and the bill is acknowledged."""
    person, email = await reachable(hospital)
    invoice = await hospital.invoices(person)
    failing = await hospital.pays(invoice, "tok_declined")
    assert await chain(running, failing.flow, FAILED, "payment.succeeded", PAID) == [FAILED]
    of_flow = [each for each in running.overheard.messages.values() if attributes(each)["correlationid"] == str(failing.flow)]
    await hear_again(running, of_flow)
    await running.settled()
    [still] = await hospital.owed(person)
    assert (still["status"], still["balance"]) == ("issued", invoice["total"])
    assert await hospital.record(person) == ((await hospital.record(person))[0], [])
    assert await told(running, person) == [(ISSUED, "delivered"), (FAILED, "delivered")]
    [retry] = [mail for mail in running.mails.mails_to(email) if mail.subject == "Your payment did not go through"]
    assert invoice["number"] in retry.body
    await hospital.pays(still, "tok_visa")
    assert await told(running, person) == [(ISSUED, "delivered"), (FAILED, "delivered"), (PAID, "delivered")]
    assert [entry["invoice_id"] for entry in (await hospital.record(person))[1]] == [invoice["invoice_id"]]
