"""Two records turn out to be one person, in the middle of things."""

from __future__ import annotations

from tests.flows.hospital import GLUCOSE, POTASSIUM, Hospital, Person, money
from tests.flows.running import Running
from tests.waiting import until


async def merge(hospital: Hospital, merged: Person, into: Person) -> None:
    await hospital.ask("clinical", "POST", f"/patients/{merged.id}/merge", {"into_patient_id": into.id})


async def invoiced_again(hospital: Hospital, person: Person) -> dict[str, str]:
    """A further encounter's invoice."""
    known = {each["invoice_id"] for each in await hospital.owed(person)}
    encounter = await hospital.admits(person)
    await hospital.completes(person, POTASSIUM, encounter=encounter)
    await hospital.discharges(encounter)
    [new] = [each for each in await hospital.owed(person) if each["invoice_id"] not in known]
    return dict(new)


async def test_what_is_open_belongs_to_the_survivor(running: Running, hospital: Hospital) -> None:
    """Every replica, the open order, the open invoice and the open charge are repointed; what is over stays as it was."""
    merged, survivor = await hospital.registers(), await hospital.registers()
    paid = await hospital.invoices(merged)
    await hospital.pays(paid, "tok_visa")
    unpaid = await invoiced_again(hospital, merged)
    await hospital.completes(merged, GLUCOSE)
    order = await hospital.orders(merged, POTASSIUM)
    await merge(hospital, merged, survivor)
    for service in ("lab", "billing", "payment"):
        [row] = await running.rows(service, "SELECT merged_into FROM patient_reference WHERE id = :id", id=merged.id)
        assert str(row.merged_into) == survivor.id
    assert (await hospital.shows("lab", f"/lab-orders/{order}"))["patient_id"] == survivor.id
    assert (await hospital.shows("billing", f"/invoices/{unpaid['invoice_id']}"))["patient_id"] == survivor.id
    assert (await hospital.shows("billing", f"/invoices/{paid['invoice_id']}"))["patient_id"] == merged.id
    [row] = await running.rows("payment", "SELECT patient_id FROM invoice_reference WHERE id = :id", id=unpaid["invoice_id"])
    assert str(row.patient_id) == survivor.id
    charges = await hospital.ask("billing", "GET", "/charges", params={"patient_id": survivor.id, "status": "open"})
    assert [charge["code"] for charge in charges.items] == [GLUCOSE]
    account = await hospital.shows("billing", f"/accounts/{merged.id}")
    assert (account["patient_id"], account["full_name"], account["owed"]) == (survivor.id, survivor.name, [money("12.50")])


async def test_what_comes_later_reaches_the_survivor(hospital: Hospital) -> None:
    """The order goes on with the survivor's labels; result, charge, invoice and payment end in the survivor's record."""
    merged, survivor = await hospital.registers(), await hospital.registers()
    encounter = await hospital.admits(merged)
    order = await hospital.orders(merged, POTASSIUM, encounter=encounter)
    await merge(hospital, merged, survivor)
    await hospital.accepts(order, survivor)
    value = hospital.secret("4.9")
    await hospital.releases(await hospital.measures(order, POTASSIUM, value=value, unit="mmol/L"))
    await hospital.discharges(encounter)
    [invoice] = await hospital.owed(survivor)
    await hospital.pays(invoice, "tok_visa")
    results, paid = await hospital.record(survivor)
    assert [entry["value"] for entry in results] == [value]
    assert [entry["invoice_id"] for entry in paid] == [invoice["invoice_id"]]
    assert await hospital.record(merged) == (results, paid)


async def test_a_payment_under_way_ends_with_the_survivor(running: Running, hospital: Hospital) -> None:
    """The provider's answer is lost, the payer is merged meanwhile: what it says then settles the survivor's invoice."""
    merged, survivor = await hospital.registers(), await hospital.registers()
    invoice = await hospital.invoices(merged)
    with running.provider.silent():
        paying = await hospital.begin("payment", "POST", "/payments", hospital.card(invoice, "tok_lost_answer_and_webhook"))

        async def nobody_knows() -> bool:
            query = "SELECT state FROM backbone.call WHERE key = :key"
            return [row.state for row in await running.rows("payment", query, key=paying["payment_id"])] == ["unknown"]

        await until(nobody_knows)
        await merge(hospital, merged, survivor)
        payment = await hospital.shows("payment", f"/payments/{paying['payment_id']}")
        assert (payment["patient_id"], payment["status"]) == (survivor.id, "processing")
    await running.settled(paying.flow)
    [entry] = (await hospital.record(survivor))[1]
    assert entry["invoice_id"] == invoice["invoice_id"]


async def test_merged_twice(hospital: Hospital) -> None:
    """Whoever was merged into somebody who was merged is the last one."""
    first, second, third = [await hospital.registers() for _ in range(3)]
    order = await hospital.orders(first, POTASSIUM)
    await merge(hospital, first, second)
    await merge(hospital, second, third)
    assert (await hospital.shows("lab", f"/lab-orders/{order}"))["patient_id"] == third.id
    for each in (first, second, third):
        assert (await hospital.shows("billing", f"/accounts/{each.id}"))["patient_id"] == third.id
