"""What arrives before that which it refers to: it waits, and then takes effect by itself."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

from broker.testing import Flow
from contracts.billing import InvoiceDue, InvoiceIssued
from contracts.clinical import EncounterDischarged, PatientMerged
from contracts.lab import LabOrderCompleted
from contracts.payment import PaymentSucceeded
from services.billing.replicas import PatientReference as Payer
from services.lab.replicas import PatientReference
from services.payment.replicas import InvoiceReference
from tests.flows.hospital import POTASSIUM, Hospital, Person, money

DUE = timedelta(days=31)


async def comes(hospital: Hospital) -> Person:
    """A new patient, of whom one service cannot hear for a while."""
    person, asked = hospital.new_person()
    registered = await hospital.ask("clinical", "POST", "/patients", asked)
    return Person(registered["patient_id"], person.name, person.number, person.born)


async def test_a_completed_order_waits_in_billing_for_its_patient(flow: Flow, hospital: Hospital) -> None:
    """The lab knows the patient and billing does not: charge and discharge wait; the reference brings charge and invoice."""
    async with flow.started_by() as f:
        async with flow.late("billing.patient_reference"):
            person = await comes(hospital)
            encounter = await hospital.admits(person)
            await f.replica(PatientReference, UUID(person.id)).reaches()
            await f.replica("lab.encounter_reference", UUID(encounter)).reaches(status="in_progress")
            order = await hospital.orders(person, POTASSIUM, encounter=encounter)
            await hospital.accepts(order, person)
            value = hospital.secret("4.4")
            await hospital.releases(await hospital.measures(order, POTASSIUM, value=value, unit="mmol/L"))
            completed = await f.published(LabOrderCompleted).once()
            await f.handled(completed, by="clinical")
            await hospital.discharges(encounter)
            discharged = await f.published(EncounterDischarged, by="clinical").once()
            for event, queue in ((completed, "billing.charge_what_was_done"), (discharged, "billing.invoice_the_encounter")):
                kept = await f.kept(event, by=queue, state="waiting")
                assert (kept.waits_for, kept.waits_key) == ("patient_reference", person.id)
            assert (await hospital.ask("billing", "GET", "/charges", params={"patient_id": person.id})).items == []
        await f.replica(Payer, UUID(person.id)).reaches()
        await f.handled([completed, discharged], by="billing")
        await f.published(InvoiceIssued, by="billing").once()
        f.scheduled(InvoiceDue, within=DUE)
    [charge] = (await hospital.ask("billing", "GET", "/charges", params={"patient_id": person.id})).items
    assert (charge["order_id"], charge["status"]) == (order, "invoiced")
    [invoice] = await hospital.owed(person)
    assert invoice["total"] == money("12.50")


async def test_a_merge_waits_in_the_lab_for_the_survivor(flow: Flow, hospital: Hospital) -> None:
    """The order is repointed when the survivor's reference arrives; until then nothing can be ordered for the survivor."""
    merged = await hospital.registers()
    order = await hospital.orders(merged, POTASSIUM)
    async with flow.started_by() as f:
        async with flow.late("lab.patient_reference"):
            survivor = await comes(hospital)
            await f.replica(Payer, UUID(survivor.id)).reaches()
            asked = {"into_patient_id": survivor.id}
            await hospital.ask("clinical", "POST", f"/patients/{merged.id}/merge", asked)
            merge = await f.published(PatientMerged, by="clinical").once()
            kept = await f.kept(merge, by="lab.repoint_orders_of_merged_patient", state="waiting")
            assert kept.waits_key == survivor.id
            early = {"patient_id": survivor.id, "tests": [POTASSIUM]}
            refused = await hospital.ask("lab", "POST", "/lab-orders", early, status=409)
            assert (refused["type"], refused.headers["Retry-After"]) == ("urn:nilecare:not-yet", "1")
            assert (await hospital.shows("lab", f"/lab-orders/{order}"))["patient_id"] == merged.id
        await f.handled(merge, by="lab")
    assert (await hospital.shows("lab", f"/lab-orders/{order}"))["patient_id"] == survivor.id
    await hospital.accepts(order, survivor)


async def test_an_invoice_that_payment_has_not_heard_of(flow: Flow, hospital: Hospital) -> None:
    """409 not-yet while the reference is on its way; the same request under the same key then begins the payment."""
    person = await hospital.registers()
    encounter = await hospital.admits(person)
    await hospital.completes(person, POTASSIUM, encounter=encounter)
    key = {"Idempotency-Key": str(uuid4())}
    async with flow.started_by() as f:
        async with flow.late("payment.invoice_reference"):
            await hospital.discharges(encounter)
            issued = await f.published(InvoiceIssued, by="billing").once()
            [invoice] = await hospital.owed(person)
            asked = hospital.card(invoice, "tok_visa")
            early = await hospital.ask("payment", "POST", "/payments", asked, status=409, headers=key)
            assert (early["type"], early["waits_for"]) == ("urn:nilecare:not-yet", "invoice_reference")
        await f.replica(InvoiceReference, issued.event.invoice_id).reaches(status="issued")
        f.scheduled(InvoiceDue, within=DUE)
    async with flow.started_by(hospital.ask("payment", "POST", "/payments", asked, status=201, headers=key)) as f:
        await f.handled(await f.published(PaymentSucceeded, by="payment").once(), by="billing")
    [paid] = await hospital.owed(person)
    assert paid["status"] == "paid"
