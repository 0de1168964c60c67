"""From a patient's registration to a lab result in their record."""

from __future__ import annotations

from uuid import UUID

import pytest

from broker.testing import Flow
from contracts.clinical import EncounterCancelled, PatientChanged, PatientRegistered
from contracts.lab import LabOrderCancelled, LabOrderCompleted, LabOrderPlaced, LabResultAvailable
from services.billing.replicas import PatientReference as Payer
from services.lab.replicas import PatientReference
from tests.flows.hospital import CULTURE, GLUCOSE, POTASSIUM, Hospital

READERS = ["clinical", "ehr", "notification"]
KEEPERS = ["billing", "ehr", "facility", "lab", "notification", "operations", "payment"]
"""The services that keep a copy of patients."""


async def test_a_registered_patient_is_known_everywhere(flow: Flow, hospital: Hospital) -> None:
    """Billing has an account in the patient's name; all others have a reference."""
    person, asked = hospital.new_person()
    async with flow.started_by(hospital.ask("clinical", "POST", "/patients", asked)) as f:
        registered = await f.published(PatientRegistered, by="clinical").once()
        await f.handled(registered, by="billing.open_account")
        await f.handled(await f.published(PatientChanged).once(), by=KEEPERS)
        for keeper in KEEPERS:
            await f.replica(f"{keeper}.patient_reference", registered.event.patient_id).reaches(version=1)
        await f.replica(PatientReference, registered.event.patient_id).reaches(facility_id=UUID(hospital.id))
    account = await hospital.shows("billing", f"/accounts/{registered.event.patient_id}")
    assert (account["full_name"], account["medical_record_number"]) == (person.name, person.number)
    assert account["owed"] == account["credit"] == []


async def test_demographics_follow(flow: Flow, hospital: Hospital) -> None:
    """A new name is the name that every copy has, whatever comes again under whatever id."""
    person = await hospital.registers()
    name = hospital.secret("Amal Hassan ")
    changed = hospital.ask("clinical", "PATCH", f"/patients/{person.id}", {"full_name": name})
    async with flow.started_by(changed) as f:
        await f.handled(await f.published(PatientChanged, by="clinical").once(), by=KEEPERS)
        await f.replica(PatientReference, UUID(person.id)).reaches(version=2, full_name=name)
        await f.replica(Payer, UUID(person.id)).reaches(version=2, full_name=name)
        await f.anew(PatientChanged)
        f.never(PatientRegistered)
    assert (await hospital.shows("billing", f"/accounts/{person.id}"))["full_name"] == name


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


async def test_a_value_in_another_unit_is_converted_and_flagged(flow: Flow, hospital: Hospital) -> None:
    """7.2 mmol/L of glucose are 129.712 mg/dL, which is high."""
    person = await hospital.registers()
    order = await hospital.orders(person, GLUCOSE)
    await hospital.accepts(order, person)
    result = await hospital.measures(order, GLUCOSE, value="7.2", unit="mmol/L")
    async with flow.started_by(hospital.releases(result)) as f:
        available = await f.published(LabResultAvailable, by="lab", unit="mg/dL", flag="H").once()
        assert str(available.event.value) == "129.712"
        await f.handled(available, by=READERS)
    [[entry], _] = await hospital.record(person)
    assert (entry["value"], entry["unit"], entry["flag"]) == ("129.712", "mg/dL", "H")


async def test_a_text_reaches_the_record(flow: Flow, hospital: Hospital) -> None:
    """A text that is not the normal one is abnormal."""
    person = await hospital.registers()
    order = await hospital.orders(person, CULTURE)
    await hospital.accepts(order, person)
    text = hospital.secret("coli ")
    result = await hospital.measures(order, CULTURE, text_value=text)
    async with flow.started_by(hospital.releases(result)) as f:
        await f.handled(await f.published(LabResultAvailable, text_value=text, is_abnormal=True).once(), by=READERS)
    [[entry], _] = await hospital.record(person)
    assert (entry["text_value"], entry["value"], entry["flag"], entry["is_critical"]) == (text, None, "A", False)


async def test_an_order_of_several_tests_is_completed_by_its_last_result(flow: Flow, hospital: Hospital) -> None:
    """Each result is in the record as soon as it is verified; the order is completed, and charged, once."""
    person = await hospital.registers()
    order = await hospital.orders(person, POTASSIUM, GLUCOSE)
    await hospital.accepts(order, person)
    first = await hospital.measures(order, GLUCOSE, value=hospital.secret("85.2"), unit="mg/dL")
    async with flow.started_by(hospital.releases(first)) as f:
        await f.handled(await f.published(LabResultAvailable, by="lab").once(), by="clinical")
        f.never(LabOrderCompleted)
    assert (await hospital.shows("lab", f"/lab-orders/{order}"))["status"] == "partial"
    assert len((await hospital.record(person))[0]) == 1
    last = await hospital.measures(order, POTASSIUM, value=hospital.secret("4.2"), unit="mmol/L")
    async with flow.started_by(hospital.releases(last)) as f:
        await f.published(LabResultAvailable, by="lab").once()
        await f.handled(await f.published(LabOrderCompleted, order_id=UUID(order)).once(), by=["billing", "clinical"])
    charges = await hospital.ask("billing", "GET", "/charges", params={"patient_id": person.id})
    assert sorted(charge["code"] for charge in charges.items) == sorted([POTASSIUM, GLUCOSE])


async def test_a_cancelled_encounter_takes_its_orders_with_it(flow: Flow, hospital: Hospital) -> None:
    """Nobody takes samples for somebody who does not come."""
    person = await hospital.registers()
    planned = {"patient_id": person.id, "encounter_class": "ambulatory"}
    encounter = (await hospital.ask("clinical", "POST", "/encounters", planned))["encounter_id"]
    order = await hospital.orders(person, POTASSIUM, encounter=encounter)
    cancel = hospital.ask("clinical", "POST", f"/encounters/{encounter}/cancel", {"reason": "did not come"})
    async with flow.started_by(cancel) as f:
        await f.handled(await f.published(EncounterCancelled, by="clinical").once(), by=["lab", "billing"])
        cancelled = await f.published(LabOrderCancelled, by="lab", order_id=UUID(order)).once()
        await f.handled(cancelled, by="clinical")
        f.never(LabOrderPlaced)
    assert (await hospital.shows("lab", f"/lab-orders/{order}"))["status"] == "cancelled"
    assert await hospital.owed(person) == []
