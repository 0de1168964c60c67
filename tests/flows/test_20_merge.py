"""Two records turn out to be one person, in the middle of things (flow 20, from the merge on)."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from broker.testing import Flow
from contracts.billing import InvoiceDue, InvoiceIssued, InvoicePaid
from contracts.clinical import PatientMerged
from contracts.lab import LabOrderCompleted, LabResultAvailable
from contracts.payment import PaymentSucceeded
from services.payment.replicas import InvoiceReference
from tests.flows.hospital import GLUCOSE, POTASSIUM, Hospital, Person, Reply, money
from tests.flows.running import Running

DUE = timedelta(days=31)

MERGING = ["billing", "ehr", "facility", "lab", "payment"]
"""Who has something that belongs to the survivor from then on."""


async def merge(hospital: Hospital, merged: Person, into: Person) -> Reply:
    return await hospital.ask("clinical", "POST", f"/patients/{merged.id}/merge", {"into_patient_id": into.id})


async def invoiced_again(hospital: Hospital, person: Person) -> dict[str, str]:
    """A further encounter's invoice."""
    known = {each["invoice_id"] for each in await hospital.owed(person)}
    encounter = await hospital.admits(person)
    await hospital.completes(person, POTASSIUM, encounter=encounter)
    await hospital.discharges(encounter)
    [new] = [each for each in await hospital.owed(person) if each["invoice_id"] not in known]
    return dict(new)


async def test_what_is_open_belongs_to_the_survivor(flow: Flow, hospital: Hospital) -> None:
    """Every replica, the open order, the open invoice and the open charge are repointed; what is over stays as it was."""
    merged, survivor = await hospital.registers(), await hospital.registers()
    paid = await hospital.invoices(merged)
    await hospital.pays(paid, "tok_visa")
    unpaid = await invoiced_again(hospital, merged)
    await hospital.completes(merged, GLUCOSE)
    order = await hospital.orders(merged, POTASSIUM)
    async with flow.started_by(merge(hospital, merged, survivor)) as f:
        await f.handled(await f.published(PatientMerged, by="clinical").once(), by=MERGING)
        for keeper in MERGING:
            await f.replica(f"{keeper}.patient_reference", UUID(merged.id)).reaches(merged_into=UUID(survivor.id))
        await f.replica(InvoiceReference, UUID(unpaid["invoice_id"])).reaches(patient_id=UUID(survivor.id))
        await f.again(backwards=True)
    assert (await hospital.shows("lab", f"/lab-orders/{order}"))["patient_id"] == survivor.id
    assert (await hospital.shows("billing", f"/invoices/{unpaid['invoice_id']}"))["patient_id"] == survivor.id
    assert (await hospital.shows("billing", f"/invoices/{paid['invoice_id']}"))["patient_id"] == merged.id
    charges = await hospital.ask("billing", "GET", "/charges", params={"patient_id": survivor.id, "status": "open"})
    assert [charge["code"] for charge in charges.items] == [GLUCOSE]
    account = await hospital.shows("billing", f"/accounts/{merged.id}")
    assert (account["patient_id"], account["full_name"], account["owed"]) == (survivor.id, survivor.name, [money("12.50")])


async def test_what_comes_later_reaches_the_survivor(flow: Flow, hospital: Hospital) -> None:
    """The order goes on with the survivor's labels; result, charge, invoice and payment end in the survivor's record."""
    merged, survivor = await hospital.registers(), await hospital.registers()
    encounter = await hospital.admits(merged)
    order = await hospital.orders(merged, POTASSIUM, encounter=encounter)
    await merge(hospital, merged, survivor)
    await hospital.accepts(order, survivor)
    value, whose = hospital.secret("4.9"), UUID(survivor.id)
    result = await hospital.measures(order, POTASSIUM, value=value, unit="mmol/L")
    async with flow.started_by(hospital.releases(result)) as f:
        available = await f.published(LabResultAvailable, by="lab", patient_id=whose).once()
        await f.handled(available, by=["clinical", "ehr"])
        await f.handled(await f.published(LabOrderCompleted, patient_id=whose).once(), by="billing")
    async with flow.started_by(hospital.discharges(encounter)) as f:
        await f.published(InvoiceIssued, by="billing", patient_id=whose).once()
        f.scheduled(InvoiceDue, within=DUE)
    [invoice] = await hospital.owed(survivor)
    async with flow.started_by(hospital.pays(invoice, "tok_visa")) as f:
        await f.handled(await f.published(InvoicePaid, by="billing", patient_id=whose).once(), by="clinical")
    results, paid = await hospital.record(survivor)
    assert [entry["value"] for entry in results] == [value]
    assert [entry["invoice_id"] for entry in paid] == [invoice["invoice_id"]]
    assert await hospital.record(merged) == (results, paid)


async def test_a_payment_under_way_ends_with_the_survivor(running: Running, flow: Flow, hospital: Hospital) -> None:
    """The provider's answer is lost, the payer is merged meanwhile: what it says then settles the survivor's invoice."""
    merged, survivor = await hospital.registers(), await hospital.registers()
    invoice = await hospital.invoices(merged)
    async with flow.started_by() as f:
        with running.outside.provider.silent():
            payment_id = (await hospital.pays(invoice, "tok_lost_answer_and_webhook"))["payment_id"]
            await f.called("authorise_card", by="payment", state="unknown")
            await merge(hospital, merged, survivor)
            await f.handled(await f.published(PatientMerged).once(), by=["billing", "payment"])
            payment = await hospital.shows("payment", f"/payments/{payment_id}")
            assert (payment["patient_id"], payment["status"]) == (survivor.id, "processing")
        await f.published(PaymentSucceeded, by="payment", patient_id=UUID(survivor.id)).once()
        paid = await f.published(InvoicePaid, by="billing", patient_id=UUID(survivor.id)).once()
        await f.handled(paid, by="clinical")
    [entry] = (await hospital.record(survivor))[1]
    assert entry["invoice_id"] == invoice["invoice_id"]


async def test_merged_twice(flow: Flow, hospital: Hospital) -> None:
    """Whoever was merged into somebody who was merged is the last one."""
    first, second, third = [await hospital.registers() for _ in range(3)]
    order = await hospital.orders(first, POTASSIUM)
    async with flow.started_by(merge(hospital, first, second), merge(hospital, second, third)) as f:
        await f.handled(await f.published(PatientMerged, by="clinical").times(2), by=MERGING)
    assert (await hospital.shows("lab", f"/lab-orders/{order}"))["patient_id"] == third.id
    for each in (first, second, third):
        assert (await hospital.shows("billing", f"/accounts/{each.id}"))["patient_id"] == third.id
