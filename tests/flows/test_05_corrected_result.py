"""A result that was wrong (flow 5): the health record and clinical show what it says beside what it said."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from broker.testing import Flow
from contracts.clinical import PatientMerged
from contracts.lab import LabOrderCompleted, LabResultAvailable, LabResultCorrected
from tests.flows.drawn import drawn
from tests.flows.hospital import POTASSIUM, Hospital, Person
from tests.flows.running import Running

READERS = ["clinical", "ehr", "notification"]


async def shown(hospital: Hospital, person: Person) -> Any:
    """The one result in the patient's health record."""
    [result] = (await hospital.ask("ehr", "GET", f"/patients/{person.id}/results")).items
    return result


async def released(hospital: Hospital, person: Person, value: str) -> str:
    """A result that everybody knows."""
    order = await hospital.orders(person, POTASSIUM)
    await hospital.accepts(order, person)
    result = await hospital.measures(order, POTASSIUM, value=value, unit="mmol/L")
    await hospital.releases(result)
    return result


async def test_a_corrected_result_is_shown_with_its_predecessor(flow: Flow, hospital: Hospital) -> None:
    """In the health record as one result with its history, in clinical's as one entry each time; a merge takes it along."""
    person, survivor = await hospital.registers(), await hospital.registers()
    wrong, right, better = hospital.secret("5.8"), hospital.secret("4.4"), hospital.secret("4.5")
    result = await released(hospital, person, wrong)
    first = await shown(hospital, person)
    assert (first["current"]["value"], first["current"]["flag"], first["predecessors"]) == (wrong, "H", [])
    async with flow.started_by(hospital.corrects(result, right)) as f:
        corrected = await f.published(LabResultCorrected, by="lab", result_id=UUID(result)).once()
        assert (str(corrected.event.value), str(corrected.event.previous_value)) == (right, wrong)
        await f.handled(corrected, by=READERS)
        f.never(LabResultAvailable)
        f.never(LabOrderCompleted)
        await f.again(backwards=True)
    both = await shown(hospital, person)
    assert (both["result_id"], both["current"]["value"], both["current"]["status"]) == (result, right, "corrected")
    assert both["current"]["reason"] == "haemolysed"
    assert [(said["value"], said["flag"]) for said in both["predecessors"]] == [(wrong, "H")]
    entries, _ = await hospital.record(person)
    assert [(entry["value"], entry["status"]) for entry in entries] == [(wrong, "final"), (right, "corrected")]
    async with flow.started_by(hospital.corrects(result, better)) as f:
        await f.handled(await f.published(LabResultCorrected).once(), by=READERS)
    entries, _ = await hospital.record(person)
    assert [(entry["value"], entry["flag"]) for entry in entries] == [(wrong, "H"), (right, None), (better, None)]
    before = await hospital.ask("lab", "GET", f"/lab-results/{result}/corrections")
    assert [item["previous_value"] for item in before.items] == [wrong, right]
    all_three = await shown(hospital, person)
    assert [said["value"] for said in all_three["predecessors"]] == [wrong, right]
    merge = hospital.ask("clinical", "POST", f"/patients/{person.id}/merge", {"into_patient_id": survivor.id})
    async with flow.started_by(merge) as f:
        await f.handled(await f.published(PatientMerged, by="clinical").once(), by="ehr")
    assert await shown(hospital, survivor) == all_three


async def test_a_correction_that_overtakes_its_result(flow: Flow, hospital: Hospital) -> None:
    """The health record hears of neither for a while, then of both, in their order."""
    person = await hospital.registers()
    wrong, right = hospital.secret("5.8"), hospital.secret("4.4")
    order = await hospital.orders(person, POTASSIUM)
    await hospital.accepts(order, person)
    result = await hospital.measures(order, POTASSIUM, value=wrong, unit="mmol/L")
    async with flow.started_by() as f:
        async with flow.late("ehr.show_result_in_record"):
            await hospital.releases(result)
            await hospital.corrects(result, right)
            corrected = await f.published(LabResultCorrected).once()
            await f.handled(corrected, by="clinical")
            assert (await hospital.ask("ehr", "GET", f"/patients/{person.id}/results")).items == []
        await f.handled([await f.published(LabResultAvailable).once(), corrected], by="ehr")
    both = await shown(hospital, person)
    assert (both["current"]["value"], [said["value"] for said in both["predecessors"]]) == (right, [wrong])


async def test_what_follows_from_a_correction_is_drawn_alike(running: Running, hospital: Hospital) -> None:
    """A diagram of the same flow is the same, whoever was faster."""
    person = await hospital.registers()
    result = await released(hospital, person, hospital.secret("5.8"))
    diagrams = [await drawn(running, (await hospital.corrects(result, hospital.secret("4.4"))).flow) for _ in range(2)]
    for reader in ("clinical", "ehr"):
        assert f"    lab-){reader}: lab.result.corrected<br/>show_result_in_record\n" in diagrams[0]
    assert diagrams[0] == diagrams[1]
