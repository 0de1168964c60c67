"""A sample that cannot be used: its tests are ordered again, and whatever comes of it is charged once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.flows.hospital import GLUCOSE, POTASSIUM, Hospital, Person
from tests.flows.running import Running


async def reject(hospital: Hospital, sample: str, reason: str = "haemolysed") -> str:
    """The order for a new sample."""
    return str((await hospital.ask("lab", "POST", f"/samples/{sample}/reject", {"reason": reason}))["order_id"])


async def measure(hospital: Hospital, order: str, test: str = POTASSIUM) -> None:
    """A result is released, and all that follows has happened."""
    unit = {POTASSIUM: "mmol/L", GLUCOSE: "mg/dL"}[test]
    value = hospital.secret("4.2" if test == POTASSIUM else "85.2")
    await hospital.releases(await hospital.measures(order, test, value=value, unit=unit))


async def charges(hospital: Hospital, person: Person) -> list[Any]:
    """What the patient was charged for."""
    return (await hospital.ask("billing", "GET", "/charges", params={"patient_id": person.id})).items


@pytest.mark.parametrize("reason", ["haemolysed", "clotted", "short", "mislabelled"])
async def test_a_rejected_sample_is_ordered_again(running: Running, hospital: Hospital, reason: str) -> None:
    """The first order is cancelled, the new one names it and belongs to the same encounter; the first costs nothing."""
    person = await hospital.registers()
    encounter = await hospital.admits(person)
    order = await hospital.orders(person, POTASSIUM, encounter=encounter)
    sample = await hospital.samples(order, person)
    rejection = await hospital.ask("lab", "POST", f"/samples/{sample}/reject", {"reason": reason})
    again = await hospital.shows("lab", f"/lab-orders/{rejection['order_id']}")
    assert (again["recollects"], again["encounter_id"], again["status"]) == (order, encounter, "ordered")
    assert [line["test_code"] for line in again["lines"]] == [POTASSIUM]
    assert (await hospital.shows("lab", f"/lab-orders/{order}"))["status"] == "cancelled"
    said = await running.published(rejection.flow, "lab")
    assert sorted(said) == ["lab.order.cancelled", "lab.order.placed", "lab.sample.rejected"]
    assert await charges(hospital, person) == []


async def test_a_second_sample_is_charged_once(hospital: Hospital) -> None:
    """Also when it is the third that can be used: one result in the record, one charge, one line on the invoice."""
    person = await hospital.registers()
    encounter = await hospital.admits(person)
    order = await hospital.orders(person, POTASSIUM, encounter=encounter)
    second = await reject(hospital, await hospital.samples(order, person))
    third = await reject(hospital, await hospital.samples(second, person), "clotted")
    await hospital.accepts(third, person)
    await measure(hospital, third)
    [[entry], _] = await hospital.record(person)
    assert entry["order_id"] == third
    [charge] = await charges(hospital, person)
    assert (charge["order_id"], charge["encounter_id"], charge["code"]) == (third, encounter, POTASSIUM)
    await hospital.discharges(encounter)
    [invoice] = await hospital.owed(person)
    assert invoice["total"] == charge["price"]


async def test_each_test_is_charged_where_its_result_is(hospital: Hospital) -> None:
    """Of two samples one is rejected: what the good one showed is charged with the first order, the rest with the second."""
    person = await hospital.registers()
    order = await hospital.orders(person, POTASSIUM, GLUCOSE)
    label = {"label": person.label}
    good, bad = [
        (await hospital.begin("lab", "POST", f"/lab-orders/{order}/samples", label | {"test_codes": [test]}))["sample_id"]
        for test in (POTASSIUM, GLUCOSE)
    ]
    for sample in (good, bad):
        await hospital.begin("lab", "POST", f"/samples/{sample}/send")
        await hospital.begin("lab", "POST", f"/samples/{sample}/receive", {})
    await hospital.begin("lab", "POST", f"/samples/{good}/accept")
    await measure(hospital, order)
    assert await charges(hospital, person) == []
    again = await reject(hospital, bad)
    assert [charge["code"] for charge in await charges(hospital, person)] == [POTASSIUM]
    await hospital.accepts(again, person)
    await measure(hospital, again, GLUCOSE)
    charged = {charge["order_id"]: charge["code"] for charge in await charges(hospital, person)}
    assert charged == {order: POTASSIUM, again: GLUCOSE}
