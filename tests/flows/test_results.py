"""From a patient's registration to a lab result in their record."""

from __future__ import annotations

import pytest

from tests.flows.hospital import CULTURE, GLUCOSE, POTASSIUM, Hospital
from tests.flows.running import Running


async def test_a_registered_patient_is_known_everywhere(running: Running, hospital: Hospital) -> None:
    """Billing has an account in the patient's name; lab and payment have a reference."""
    person = await hospital.registers()
    account = await hospital.shows("billing", f"/accounts/{person.id}")
    assert (account["full_name"], account["medical_record_number"]) == (person.name, person.number)
    assert account["owed"] == account["credit"] == []
    for service in ("lab", "payment"):
        [reference] = await running.rows(service, "SELECT * FROM patient_reference WHERE id = :id", id=person.id)
        assert str(reference.facility_id) == hospital.id


async def test_demographics_follow(running: Running, hospital: Hospital) -> None:
    """A new name is the name that every copy has."""
    person = await hospital.registers()
    name = hospital.secret("Amal Hassan ")
    await hospital.ask("clinical", "PATCH", f"/patients/{person.id}", {"full_name": name})
    assert (await hospital.shows("billing", f"/accounts/{person.id}"))["full_name"] == name
    [reference] = await running.rows("lab", "SELECT full_name FROM patient_reference WHERE id = :id", id=person.id)
    assert reference.full_name == name


@pytest.mark.parametrize(
    ("test", "begins", "unit", "flag", "critical"),
    [
        (POTASSIUM, "4.2", "mmol/L", None, False),
        (POTASSIUM, "3.1", "mmol/L", "L", False),
        (POTASSIUM, "2.1", "mmol/L", "LL", True),
        (POTASSIUM, "5.4", "mmol/L", "H", False),
        (POTASSIUM, "6.8", "mmol/L", "HH", True),
        (GLUCOSE, "88.1", "mg/dL", None, False),
    ],
)
async def test_a_number_reaches_the_record(
    hospital: Hospital, test: str, begins: str, unit: str, flag: str | None, critical: bool
) -> None:
    """With its unit, its reference range, and the flag that follows from it; nobody sees it before it is verified."""
    person = await hospital.registers()
    encounter = await hospital.admits(person)
    order = await hospital.orders(person, test, encounter=encounter)
    await hospital.accepts(order, person)
    value = hospital.secret(begins)
    result = await hospital.measures(order, test, value=value, unit=unit)
    assert await hospital.record(person) == ([], [])
    await hospital.releases(result)
    [[entry], _] = await hospital.record(person)
    assert (entry["result_id"], entry["order_id"], entry["encounter_id"]) == (result, order, encounter)
    assert (entry["value"], entry["unit"], entry["flag"]) == (value, unit, flag)
    assert (entry["is_abnormal"], entry["is_critical"], entry["status"]) == (flag is not None, critical, "final")
    assert (entry["reference_low"] is not None, entry["reference_high"] is not None) == (True, True)
    assert (await hospital.shows("lab", f"/lab-orders/{order}"))["status"] == "completed"


async def test_a_value_in_another_unit_is_converted_and_flagged(hospital: Hospital) -> None:
    """7.2 mmol/L of glucose are 129.712 mg/dL, which is high."""
    person = await hospital.registers()
    order = await hospital.orders(person, GLUCOSE)
    await hospital.accepts(order, person)
    await hospital.releases(await hospital.measures(order, GLUCOSE, value="7.2", unit="mmol/L"))
    [[entry], _] = await hospital.record(person)
    assert (entry["value"], entry["unit"], entry["flag"]) == ("129.712", "mg/dL", "H")


async def test_a_text_reaches_the_record(hospital: Hospital) -> None:
    """A text that is not the normal one is abnormal."""
    person = await hospital.registers()
    order = await hospital.orders(person, CULTURE)
    await hospital.accepts(order, person)
    text = hospital.secret("coli ")
    await hospital.releases(await hospital.measures(order, CULTURE, text_value=text))
    [[entry], _] = await hospital.record(person)
    assert (entry["text_value"], entry["value"], entry["flag"], entry["is_critical"]) == (text, None, "A", False)


async def test_a_correction_stands_beside_what_was_said_before(hospital: Hospital) -> None:
    """The record keeps every version in order; the lab keeps what the result said before each correction."""
    person = await hospital.registers()
    order = await hospital.orders(person, POTASSIUM)
    await hospital.accepts(order, person)
    values = [hospital.secret(begins) for begins in ("6.8", "5.3", "4.4")]
    result = await hospital.measures(order, POTASSIUM, value=values[0], unit="mmol/L")
    await hospital.releases(result)
    for value in values[1:]:
        asked = {"value": value, "unit": "mmol/L", "reason": "haemolysed"}
        await hospital.ask("lab", "POST", f"/lab-results/{result}/correct", asked)
    entries, _ = await hospital.record(person)
    assert [(entry["value"], entry["flag"]) for entry in entries] == list(zip(values, ("HH", "H", None), strict=True))
    assert [entry["status"] for entry in entries] == ["final", "corrected", "corrected"]
    assert {entry["result_id"] for entry in entries} == {result}
    before = await hospital.ask("lab", "GET", f"/lab-results/{result}/corrections")
    assert [item["previous_value"] for item in before.items] == values[:2]


async def test_an_order_of_several_tests_is_completed_by_its_last_result(running: Running, hospital: Hospital) -> None:
    """Each result is in the record as soon as it is verified; the order is completed, and charged, once."""
    person = await hospital.registers()
    order = await hospital.orders(person, POTASSIUM, GLUCOSE)
    await hospital.accepts(order, person)
    first = await hospital.releases(await hospital.measures(order, GLUCOSE, value=hospital.secret("85.2"), unit="mg/dL"))
    assert (await hospital.shows("lab", f"/lab-orders/{order}"))["status"] == "partial"
    assert len((await hospital.record(person))[0]) == 1
    last = await hospital.releases(await hospital.measures(order, POTASSIUM, value=hospital.secret("4.2"), unit="mmol/L"))
    assert await running.published(first.flow, "lab") == ["lab.result.available"]
    assert await running.published(last.flow, "lab") == ["lab.result.available", "lab.order.completed"]
    charges = await hospital.ask("billing", "GET", "/charges", params={"patient_id": person.id})
    assert sorted(charge["code"] for charge in charges.items) == sorted([POTASSIUM, GLUCOSE])


async def test_a_cancelled_encounter_takes_its_orders_with_it(hospital: Hospital) -> None:
    """Nobody takes samples for somebody who does not come."""
    person = await hospital.registers()
    planned = {"patient_id": person.id, "encounter_class": "ambulatory"}
    encounter = (await hospital.ask("clinical", "POST", "/encounters", planned))["encounter_id"]
    order = await hospital.orders(person, POTASSIUM, encounter=encounter)
    await hospital.ask("clinical", "POST", f"/encounters/{encounter}/cancel", {"reason": "did not come"})
    assert (await hospital.shows("lab", f"/lab-orders/{order}"))["status"] == "cancelled"
    assert await hospital.owed(person) == []
