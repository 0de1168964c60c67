"""A result that was wrong: the health record and clinical show what it says beside what it said."""

from __future__ import annotations

from typing import Any

from tests.flows.drawn import drawn
from tests.flows.hospital import POTASSIUM, Hospital, Person
from tests.flows.running import Running


async def shown(hospital: Hospital, person: Person) -> Any:
    """The one result in the patient's health record."""
    [result] = (await hospital.ask("ehr", "GET", f"/patients/{person.id}/results")).items
    return result


async def test_a_corrected_result_is_shown_with_its_predecessor(running: Running, hospital: Hospital) -> None:
    """In the health record as one result with its history, in clinical's as two entries; a merge takes it along.

    What follows from a correction is drawn in the same way each time.
    """
    person, survivor = await hospital.registers(), await hospital.registers()
    order = await hospital.orders(person, POTASSIUM)
    await hospital.accepts(order, person)
    wrong, right = hospital.secret("5.8"), hospital.secret("4.4")
    result = await hospital.measures(order, POTASSIUM, value=wrong, unit="mmol/L")
    await hospital.releases(result)
    first = await shown(hospital, person)
    assert (first["current"]["value"], first["current"]["flag"], first["predecessors"]) == (wrong, "H", [])
    asked = {"value": right, "unit": "mmol/L", "reason": "haemolysed"}
    corrected = await hospital.ask("lab", "POST", f"/lab-results/{result}/correct", asked)
    both = await shown(hospital, person)
    assert (both["result_id"], both["current"]["value"], both["current"]["status"]) == (result, right, "corrected")
    assert both["current"]["reason"] == "haemolysed"
    assert [(said["value"], said["flag"]) for said in both["predecessors"]] == [(wrong, "H")]
    entries, _ = await hospital.record(person)
    assert [(entry["value"], entry["status"]) for entry in entries] == [(wrong, "final"), (right, "corrected")]
    diagram = await drawn(running, corrected.flow)
    for reader in ("clinical", "ehr"):
        assert f"    lab-){reader}: lab.result.corrected<br/>show_result_in_record\n" in diagram
    again = asked | {"value": hospital.secret("4.5")}
    assert await drawn(running, (await hospital.ask("lab", "POST", f"/lab-results/{result}/correct", again)).flow) == diagram
    both = await shown(hospital, person)
    assert [said["value"] for said in both["predecessors"]] == [wrong, right]
    await hospital.ask("clinical", "POST", f"/patients/{person.id}/merge", {"into_patient_id": survivor.id})
    assert await shown(hospital, survivor) == both
