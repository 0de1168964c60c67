"""What happens is told to those whom it concerns: by mail, by text, together, and at once where it has to be."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from broker import clock
from broker.testing import Flow
from contracts.billing import InvoiceDue, InvoiceIssued
from contracts.lab import LabResultCriticalDue
from contracts.notification import DigestDue, NotificationDelivered, NotificationDue, NotificationFailed, NotificationSent
from nilecare.simulator import Mail
from tests.flows.hospital import HOUSE, POTASSIUM, Hospital, Person
from tests.flows.running import Running
from tests.flows.staff import Colleague, engaged

HOUR = timedelta(hours=1)


async def registers(hospital: Hospital, mailbox: str) -> tuple[Person, str, str]:
    """A new patient, who has a mailbox of this kind; the addresses."""
    person, asked = hospital.new_person()
    email = hospital.secret(f"{mailbox}+") + "@nile.example"
    number = hospital.secret("+2499")
    reply = await hospital.ask("clinical", "POST", "/patients", asked | {"email": email, "phone": number})
    return Person(reply["patient_id"], person.name, person.number, person.born), email, number


def mails_of(running: Running, colleague: Colleague, subject: str) -> list[Mail]:
    """What a colleague got under this subject."""
    return [mail for mail in running.outside.mails.mails_to(colleague.email) if mail.subject == subject]


async def disturbed(colleague: Colleague, **said: timedelta) -> None:
    """The colleague says, counted from now, when they want to be disturbed."""
    hours = {name: (clock.now() + ahead).strftime("%H:%M:00") for name, ahead in said.items()}
    await colleague.ask("notification", "PUT", "/me/contact-hours", {"time_zone": "UTC", **hours})


async def measured(hospital: Hospital, by: Colleague, value: str) -> str:
    """A potassium that this colleague ordered, which can be released."""
    person = await hospital.registers()
    order = (await by.ask("lab", "POST", "/lab-orders", {"patient_id": person.id, "tests": [POTASSIUM]}))["order_id"]
    await hospital.accepts(order, person)
    return await hospital.measures(order, POTASSIUM, value=hospital.secret(value), unit="mmol/L")


async def test_a_bill_is_told_from_issue_to_payment(running: Running, flow: Flow, hospital: Hospital) -> None:
    """Issued, not paid by a bad card, paid by a good one: a mail each, with name and number, without what was measured."""
    person, email, _ = await registers(hospital, "amal")
    invoice = await hospital.invoices(person)
    for token, topic in (("tok_insufficient_funds", "payment.failed"), ("tok_visa", "invoice.paid")):
        async with flow.started_by(hospital.pays(invoice, token)) as f:
            await f.published(NotificationSent, by="notification", recipient_id=UUID(person.id), channel="email").once()
            await f.published(NotificationDelivered, topic=topic).once()
            f.never(NotificationFailed)
    mails = running.outside.mails.mails_to(email)
    number, house = invoice["number"], HOUSE["name"]
    bills = [f"Invoice {number} of {house}", "Your payment did not go through", f"Invoice {number} is paid"]
    assert [mail.subject for mail in mails if mail.subject in bills] == bills
    assert {mail.subject for mail in mails} == {*bills, "A result is ready", f"Your visit to {house}"}
    assert all(person.name in mail.body for mail in mails)
    assert not any("otassium" in mail.subject + mail.body for mail in mails)


async def test_what_bounces_goes_to_the_phone(running: Running, flow: Flow, hospital: Hospital) -> None:
    """The text names house and number; nothing of it says whose it is, or what was done."""
    person, email, phone = await registers(hospital, "bounces")
    encounter = await hospital.admits(person)
    await hospital.completes(person, POTASSIUM, encounter=encounter)
    async with flow.started_by(hospital.discharges(encounter)) as f:
        issued = await f.published(InvoiceIssued, by="billing").once()
        await f.published(NotificationDelivered, topic="invoice.issued", channel="sms").once()
        f.scheduled(InvoiceDue, within=timedelta(days=31))
        f.never(NotificationSent, channel="email")
    texts = [message.text for message in running.outside.messages.messages_to(phone)]
    assert running.outside.mails.mails_to(email) == []
    assert any(issued.event.number in text for text in texts)
    assert not any(person.name in text or "otassium" in text for text in texts)


async def test_a_busy_mailbox_gets_it_later(running: Running, flow: Flow, hospital: Hospital) -> None:
    """Refused for now is not refused: it is tried again, and comes once."""
    person, email, _ = await registers(hospital, "busy")
    order = await hospital.orders(person, POTASSIUM)
    await hospital.accepts(order, person)
    result = await hospital.measures(order, POTASSIUM, value=hospital.secret("4.2"), unit="mmol/L")
    async with flow.started_by(hospital.releases(result)) as f:
        f.scheduled(NotificationDue, within=timedelta(minutes=3))
        await f.over()
        assert running.outside.mails.mails_to(email) == []
        await flow.advance(seconds=31)
        await f.over()
        await flow.advance(minutes=3)
        await f.published(NotificationDue, by="notification").times(2)
        await f.published(NotificationDelivered, topic="result.ready", channel="email").once()
    assert [mail.subject for mail in running.outside.mails.mails_to(email)] == ["A result is ready"]


async def test_a_critical_result_wakes_whoever_can_act(running: Running, flow: Flow, hospital: Hospital) -> None:
    """At once, in the clinician's quiet hours; the news that the order has a result waits for their end."""
    clinician = await engaged(hospital, "clinician")
    await disturbed(clinician, quiet_from=-HOUR, quiet_until=HOUR)
    result = await measured(hospital, clinician, "7.2")
    async with flow.started_by(hospital.releases(result)) as f:
        sent = await f.published(NotificationSent, by="notification", recipient_id=clinician.user_id).first()
        assert sent.event.topic == "result.critical"
        f.scheduled(NotificationDue, within=HOUR)
        f.scheduled(LabResultCriticalDue, within=HOUR)
        await f.over()
        [urgent] = mails_of(running, clinician, "Act now: a critical result")
        assert "7.2" not in urgent.body
        assert mails_of(running, clinician, "Results of an order of yours") == []
        await flow.advance(minutes=61)
        await f.published(NotificationDue, by="notification").once()
    assert len(mails_of(running, clinician, "Results of an order of yours")) == 1


async def test_routine_news_come_together(running: Running, flow: Flow, hospital: Hospital) -> None:
    """Two orders have results; at the hour that was said there is one mail of both."""
    clinician = await engaged(hospital, "clinician")
    await disturbed(clinician, digest_at=timedelta(minutes=30))
    results = [await measured(hospital, clinician, value) for value in ("4.1", "4.2")]
    async with flow.started_by(*map(hospital.releases, results)) as f:
        f.scheduled(DigestDue, within=timedelta(minutes=30))
        await f.over()
        assert mails_of(running, clinician, "Results of an order of yours") == []
        await flow.advance(minutes=31)
        await f.published(DigestDue, by="notification", recipient_id=clinician.user_id).once()
        await f.published(NotificationSent, recipient_id=clinician.user_id, topic="digest").once()
    [digest] = mails_of(running, clinician, "2 messages for you")
    assert digest.body.count("- Results of an order of yours") == 2
