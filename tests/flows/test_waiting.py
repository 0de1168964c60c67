"""What arrives before that which it refers to: it waits, and then takes effect by itself."""

from __future__ import annotations

from uuid import UUID, uuid4

from tests.flows.hospital import POTASSIUM, Hospital, Person, money
from tests.flows.running import Running
from tests.waiting import until

KEPT = "SELECT state, subscription, waits_for, waits_key FROM backbone.failed_message ORDER BY position"


async def comes(hospital: Hospital) -> tuple[Person, UUID]:
    """A new patient, of whom one service cannot hear now; and the flow that ends when all have heard."""
    person, asked = hospital.new_person()
    reply = await hospital.begin("clinical", "POST", "/patients", asked)
    return Person(reply["patient_id"], person.name, person.number, person.born), reply.flow


async def arrived(running: Running, service: str, person: Person) -> None:
    """Returns when the service has the patient's reference."""

    async def is_there() -> bool:
        return bool(await running.rows(service, "SELECT 1 FROM patient_reference WHERE id = :id", id=person.id))

    await until(is_there)


async def waits(running: Running, service: str, person: Person, *subscriptions: str) -> None:
    """Returns when these subscriptions have kept a message that waits for the patient."""
    kept = [("waiting", name, "patient_reference", person.id) for name in subscriptions]

    async def do_wait() -> bool:
        return [tuple(row) for row in await running.rows(service, KEPT)] == kept

    await until(do_wait)


async def test_a_completed_order_waits_in_billing_for_its_patient(running: Running, hospital: Hospital) -> None:
    """The lab knows the patient and billing does not: charge and discharge wait; the reference brings charge and invoice."""
    async with running.held_back("billing.patient_reference"):
        person, registration = await comes(hospital)
        await arrived(running, "lab", person)
        encounter = await hospital.admits(person)
        order = await hospital.orders(person, POTASSIUM, encounter=encounter)
        await hospital.accepts(order, person)
        value = hospital.secret("4.4")
        result = await hospital.measures(order, POTASSIUM, value=value, unit="mmol/L")
        await hospital.releases(result)
        [entry], _ = await hospital.record(person)
        assert entry["value"] == value
        await hospital.discharges(encounter)
        await waits(running, "billing", person, "charge_what_was_done", "invoice_the_encounter")
        charges = "SELECT 1 FROM charges WHERE order_id = :order"
        assert await running.rows("billing", charges, order=order) == []
        assert not await running.flows.is_over(registration)
    await running.settled(registration)
    await running.settled()
    assert await running.rows("billing", KEPT) == []
    [charge] = (await hospital.ask("billing", "GET", "/charges", params={"patient_id": person.id})).items
    assert (charge["order_id"], charge["status"]) == (order, "invoiced")
    [invoice] = await hospital.owed(person)
    assert invoice["total"] == money("12.50")


async def test_a_merge_waits_in_the_lab_for_the_survivor(running: Running, hospital: Hospital) -> None:
    """The order is repointed when the survivor's reference arrives; until then nothing can be ordered for the survivor."""
    merged = await hospital.registers()
    order = await hospital.orders(merged, POTASSIUM)
    async with running.held_back("lab.patient_reference"):
        survivor, registration = await comes(hospital)
        await arrived(running, "billing", survivor)
        asked = {"into_patient_id": survivor.id}
        merge = await hospital.begin("clinical", "POST", f"/patients/{merged.id}/merge", asked)
        await waits(running, "lab", survivor, "repoint_orders_of_merged_patient")
        early = {"patient_id": survivor.id, "tests": [POTASSIUM]}
        refused = await hospital.begin("lab", "POST", "/lab-orders", early, status=409)
        assert (refused["type"], refused.headers["Retry-After"]) == ("urn:nilecare:not-yet", "1")
        assert (await hospital.shows("lab", f"/lab-orders/{order}"))["patient_id"] == merged.id
    await running.settled(registration)
    await running.settled(merge.flow)
    assert (await hospital.shows("lab", f"/lab-orders/{order}"))["patient_id"] == survivor.id
    await hospital.accepts(order, survivor)


async def test_an_invoice_that_payment_has_not_heard_of(running: Running, hospital: Hospital) -> None:
    """409 not-yet while the reference is on its way; the same request under the same key then begins the payment."""
    person = await hospital.registers()
    encounter = await hospital.admits(person)
    await hospital.completes(person, POTASSIUM, encounter=encounter)
    key = {"Idempotency-Key": str(uuid4())}
    async with running.held_back("payment.invoice_reference"):
        discharge = await hospital.begin("clinical", "POST", f"/encounters/{encounter}/discharge", {})

        async def is_issued() -> bool:
            return bool(await hospital.owed(person))

        await until(is_issued)
        [invoice] = await hospital.owed(person)
        asked = hospital.card(invoice, "tok_visa")
        early = await hospital.begin("payment", "POST", "/payments", asked, status=409, headers=key)
        assert (early["type"], early["waits_for"]) == ("urn:nilecare:not-yet", "invoice_reference")
        assert not await running.flows.is_over(discharge.flow)
    await running.settled(discharge.flow)
    await hospital.ask("payment", "POST", "/payments", asked, status=201, headers=key)
    [paid] = await hospital.owed(person)
    assert paid["status"] == "paid"
