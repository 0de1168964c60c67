"""What those who treat a patient write into the record, and that it stays there."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from broker import clock
from contracts.clinical import (
    AllergyRecorded,
    AllergyRemoved,
    DiagnosisRecorded,
    EncounterAdmitted,
    EncounterDischarged,
    ImmunizationGiven,
    ProcedurePerformed,
    VitalsCharted,
)
from services.clinical import commands
from services.clinical.tables import MOVED_IN_BULK, Base, OfPatient
from tests.services.clinical.conftest import HERE
from tests.services.clinical.test_api import rule_of
from tests.services.clinical.test_commands import encounter_of, register
from tests.services.kit import Workplace

PENICILLIN = {"substance_code": "7980", "substance": "Penicillin G", "severity": "severe"}
EVERYTHING: dict[str, dict[str, Any]] = {
    "diagnoses": {"code": "I10"},
    "allergies": PENICILLIN,
    "procedures": {"code": "71045", "description": "Chest X-ray"},
    "immunizations": {"vaccine_code": "150", "dose": 1},
    "vitals": {"pulse_per_minute": 72},
    "clinical-notes": {"text": "Slept well."},
}
"""Something of everything, by the part of the record."""


@pytest.fixture
def doctor(clinical: Workplace) -> httpx.AsyncClient:
    return clinical.client("clinician", at=HERE, subject="dr-1")


@pytest.fixture
def nurse(clinical: Workplace) -> httpx.AsyncClient:
    return clinical.client("nurse", at=HERE, subject="nurse-1")


async def written(client: httpx.AsyncClient, patient_id: UUID, part: str, **fields: Any) -> dict[str, Any]:
    reply = await client.post(f"/patients/{patient_id}/{part}", json=EVERYTHING[part] | fields)
    assert reply.status_code == 201, reply.text
    return dict(reply.json())


async def items(client: httpx.AsyncClient, patient_id: UUID, part: str) -> list[dict[str, Any]]:
    return list((await client.get(f"/patients/{patient_id}/{part}")).raise_for_status().json()["items"])


async def test_everything_moves_with_a_merge_and_back(clinical: Workplace, doctor: httpx.AsyncClient) -> None:
    """Each part of the record is read under both ids while they are one, and under its own again afterwards."""
    merged, survivor = await register(clinical, "M-1"), await register(clinical, "M-2")
    for part in EVERYTHING:
        await written(doctor, merged, part)
    async with clinical.transaction() as session:
        await commands.merge_patients(session, merged, into_patient_id=survivor)
    for part in EVERYTHING:
        for patient_id in (merged, survivor):
            assert [item["patient_id"] for item in await items(doctor, patient_id, part)] == [str(survivor)]
    async with clinical.transaction() as session:
        await commands.unmerge_patient(session, merged)
    for part in EVERYTHING:
        assert (len(await items(doctor, merged, part)), await items(doctor, survivor, part)) == (1, [])


def test_nothing_that_belongs_to_a_patient_is_left_behind_by_a_merge() -> None:
    """Every table of what belongs to a patient is moved: the encounters one by one, the others in bulk."""
    owned = {mapper.class_ for mapper in Base.registry.mappers if issubclass(mapper.class_, OfPatient)}
    assert {kind.__name__ for kind in owned} == {kind.__name__ for kind in MOVED_IN_BULK} | {"Encounter"}


async def test_nothing_is_ever_deleted(clinical: Workplace) -> None:
    """The database refuses to delete or empty any table that is about patients, and to change the audit log."""
    about_patients = {
        table.name
        for table in Base.metadata.sorted_tables
        if any(key.column.table.name == "patients" for key in table.foreign_keys)
    }
    refused = [f"DELETE FROM {table}" for table in about_patients | {"patients"}]
    refused += [f"TRUNCATE {table} CASCADE" for table in about_patients] + ["UPDATE audit_log SET reason = NULL"]
    for statement in refused:
        with pytest.raises(IntegrityError, match="is refused"):
            async with clinical.transaction() as session:
                await session.execute(text(statement))


async def test_an_encounter_in_the_record_is_the_patients(clinical: Workplace, doctor: httpx.AsyncClient) -> None:
    """EncounterIsOfAnotherPatient for somebody else's, whatever is recorded."""
    patient_id, other = await register(clinical, "M-1"), await register(clinical, "M-2")
    own, foreign = await encounter_of(clinical, patient_id), await encounter_of(clinical, other)
    for part, fields in EVERYTHING.items():
        reply = await doctor.post(f"/patients/{patient_id}/{part}", json=fields | {"encounter_id": str(foreign)})
        assert rule_of(reply, 422) == "rule:EncounterIsOfAnotherPatient"
        assert (await written(doctor, patient_id, part, encounter_id=str(own)))["encounter_id"] == str(own)


async def test_nothing_is_recorded_in_an_encounter_that_never_was(clinical: Workplace, doctor: httpx.AsyncClient) -> None:
    """EncounterNeverWas for one that was cancelled or entered in error, whatever is recorded: nothing there can be charged."""
    patient_id = await register(clinical)
    cancelled, mistaken = await encounter_of(clinical, patient_id), await encounter_of(clinical, patient_id)
    async with clinical.transaction() as session:
        await commands.cancel_encounter(session, cancelled, reason="did not come")
        await commands.mark_encounter_as_error(session, mistaken, reason="other patient")
    for part, fields in EVERYTHING.items():
        for encounter in (cancelled, mistaken):
            reply = await doctor.post(f"/patients/{patient_id}/{part}", json=fields | {"encounter_id": str(encounter)})
            assert rule_of(reply, 409) == "rule:EncounterNeverWas"
    assert await clinical.published(ProcedurePerformed) == []


BEFORE_BIRTH, ON_THE_LAST_DAY, AFTER_DEATH = "1980-05-16T10:00:00Z", "2020-03-01T10:00:00Z", "2020-03-02T10:00:00Z"


async def test_what_is_done_is_done_in_a_lifetime(clinical: Workplace, doctor: httpx.AsyncClient) -> None:
    """RecordIsBeforeBirth for everything; RecordIsAfterDeath but for procedures, as the body may still be examined."""
    patient_id = await register(clinical)
    async with clinical.transaction() as session:
        await commands.record_death(session, patient_id, deceased_on=date(2020, 3, 1))

    async def said(part: str, when: str, **fields: Any) -> str | int:
        at = {"procedures": "performed_at", "immunizations": "given_at", "vitals": "charted_at"}[part]
        reply = await doctor.post(f"/patients/{patient_id}/{part}", json=EVERYTHING[part] | {at: when} | fields)
        return rule_of(reply, 422) if reply.is_error else reply.status_code

    for part in ("procedures", "immunizations", "vitals"):
        assert await said(part, BEFORE_BIRTH) == "rule:RecordIsBeforeBirth"
        assert await said(part, ON_THE_LAST_DAY) == 201
    assert await said("procedures", AFTER_DEATH) == 201
    assert await said("vitals", AFTER_DEATH) == "rule:RecordIsAfterDeath"
    assert await said("immunizations", AFTER_DEATH, vaccine_code="88") == "rule:RecordIsAfterDeath"


async def test_each_role_writes_its_own(clinical: Workplace, nurse: httpx.AsyncClient) -> None:
    """A nurse reads everything, and writes vitals and notes; a registrar does neither."""
    patient_id = await register(clinical)
    registrar = clinical.client("registrar", at=HERE)
    for part, fields in EVERYTHING.items():
        may_write = part in {"vitals", "clinical-notes"}
        assert (await nurse.post(f"/patients/{patient_id}/{part}", json=fields)).status_code == (201 if may_write else 403)
        assert (await nurse.get(f"/patients/{patient_id}/{part}")).status_code == 200
        assert (await registrar.post(f"/patients/{patient_id}/{part}", json=fields)).status_code == 403
        assert (await registrar.get(f"/patients/{patient_id}/{part}")).status_code == 403


async def test_a_nurse_admits(clinical: Workplace, nurse: httpx.AsyncClient) -> None:
    """Who is at the bedside plans, receives and starts."""
    patient_id = await register(clinical)
    planned = await nurse.post("/encounters", json={"patient_id": str(patient_id), "encounter_class": "inpatient"})
    encounter_id = planned.json()["encounter_id"]
    for step in ("arrive", "start"):
        assert (await nurse.post(f"/encounters/{encounter_id}/{step}", json={})).status_code == 200
    assert (await nurse.post(f"/encounters/{encounter_id}/discharge", json={})).status_code == 403


# Diagnoses.


async def test_a_diagnosis_goes_its_way(clinical: Workplace, doctor: httpx.AsyncClient) -> None:
    """Each step is told by diagnosis.recorded; DiagnosisCannotBecome for one that is not drawn."""
    diagnosis = await written(doctor, await register(clinical), "diagnoses")
    address = f"/diagnoses/{diagnosis['diagnosis_id']}/status"
    assert rule_of(await doctor.post(address, json={"status": "resolved"}), 409) == "rule:DiagnosisCannotBecome"
    for status in ("confirmed", "resolved"):
        assert (await doctor.post(address, json={"status": status})).json()["status"] == status
    assert rule_of(await doctor.post(address, json={"status": "refuted"}), 409) == "rule:DiagnosisCannotBecome"
    told = [event.status for event in await clinical.published(DiagnosisRecorded)]
    assert told == ["provisional", "confirmed", "resolved"]


async def test_a_diagnosis_says_whom_it_was_recorded_for(clinical: Workplace, doctor: httpx.AsyncClient) -> None:
    """Under the id of a merged record it belongs to the one that lives on, and is the merged one's again one day."""
    merged, survivor = await register(clinical, "M-1"), await register(clinical, "M-2")
    async with clinical.transaction() as session:
        await commands.merge_patients(session, merged, into_patient_id=survivor)
    await written(doctor, merged, "diagnoses")
    [told] = await clinical.published(DiagnosisRecorded)
    assert (told.patient_id, told.recorded_for) == (survivor, merged)


async def test_what_is_charged_says_whom_it_was_recorded_for(clinical: Workplace, doctor: httpx.AsyncClient) -> None:
    """Procedures, and encounters that begin and end while the two are one, are the merged one's again one day."""
    merged, survivor = await register(clinical, "M-1"), await register(clinical, "M-2")
    asked = {"patient_id": str(merged), "encounter_class": "inpatient"}
    encounter_id = (await doctor.post("/encounters", json=asked)).json()["encounter_id"]
    async with clinical.transaction() as session:
        await commands.merge_patients(session, merged, into_patient_id=survivor)
    await written(doctor, merged, "procedures")
    for step in ("arrive", "start", "discharge"):
        assert (await doctor.post(f"/encounters/{encounter_id}/{step}", json={})).status_code == 200
    for event in (ProcedurePerformed, EncounterAdmitted, EncounterDischarged):
        [told] = await clinical.published(event)
        assert {"patient_id": survivor, "recorded_for": merged}.items() <= told.model_dump().items()


async def test_a_diagnosis_code_is_billable(clinical: Workplace, doctor: httpx.AsyncClient) -> None:
    """Well-formed, in the code set, and not further divided; the refusal does not repeat it."""
    patient_id = await register(clinical)
    refused = {
        "DiagnosisCodeIsMalformed": ("110", "I48.", "I48.91234", "i10"),
        "DiagnosisCodeIsUnknown": ("I1O", "X99.9"),
        "DiagnosisCodeIsNotBillable": ("I48", "I48.9"),
    }
    for rule, codes in refused.items():
        for code in codes:
            reply = await doctor.post(f"/patients/{patient_id}/diagnoses", json={"code": code})
            assert rule_of(reply, 422) == f"rule:{rule}"
            assert code not in reply.text
    assert await clinical.published(DiagnosisRecorded) == []


async def test_an_administrator_loads_codes(clinical: Workplace, doctor: httpx.AsyncClient) -> None:
    """What is loaded can be diagnosed with, and what a newer set divides no longer; nobody loads for one house."""
    patient_id = await register(clinical)
    administrator = clinical.client("administrator", at=None)

    async def load(client: httpx.AsyncClient, code: str, *, billable: bool) -> httpx.Response:
        codes = [{"code": code, "title": "Something new", "billable": billable}]
        return await client.put("/icd10-codes", json={"codes": codes})

    assert (await load(doctor, "X99.9", billable=True)).status_code == 403
    at_one = clinical.client("administrator", at=HERE)
    assert rule_of(await load(at_one, "X99.9", billable=True), 403) == "rule:RoleMustCountEverywhere"
    assert rule_of(await load(administrator, "99X", billable=True), 422) == "rule:DiagnosisCodeIsMalformed"
    assert (await load(administrator, "X99.9", billable=True)).status_code == 204
    await written(doctor, patient_id, "diagnoses", code="X99.9")
    await load(administrator, "X99.9", billable=False)
    reply = await doctor.post(f"/patients/{patient_id}/diagnoses", json={"code": "X99.9"})
    assert rule_of(reply, 422) == "rule:DiagnosisCodeIsNotBillable"
    listed = await doctor.get("/icd10-codes", params={"begins": "I48"})
    assert [(item["code"], item["billable"]) for item in listed.json()["items"]] == [
        ("I48", False),
        ("I48.9", False),
        ("I48.91", True),
    ]


# Allergies.


async def test_an_allergy_is_recorded_once_and_removed_but_never_gone(clinical: Workplace, doctor: httpx.AsyncClient) -> None:
    """AllergyIsAlreadyRecorded, AllergyCannotBecome; after removal it stays to be seen and may be recorded anew."""
    patient_id = await register(clinical)
    allergy = await written(doctor, patient_id, "allergies")
    again = await doctor.post(f"/patients/{patient_id}/allergies", json=PENICILLIN | {"severity": "mild"})
    assert rule_of(again, 409) == "rule:AllergyIsAlreadyRecorded"
    address = f"/allergies/{allergy['allergy_id']}/remove"
    removed = await doctor.post(address, json={"reason": "tolerated under test"})
    assert (removed.json()["status"], removed.json()["removed_by"]) == ("removed", "dr-1")
    assert rule_of(await doctor.post(address, json={"reason": "again"}), 409) == "rule:AllergyCannotBecome"
    await written(doctor, patient_id, "allergies")
    assert sorted(item["status"] for item in await items(doctor, patient_id, "allergies")) == ["active", "removed"]
    assert [event.severity for event in await clinical.published(AllergyRecorded)] == ["severe", "severe"]
    assert [str(event.allergy_id) for event in await clinical.published(AllergyRemoved)] == [allergy["allergy_id"]]


async def test_two_records_with_one_allergy_can_be_merged(clinical: Workplace, doctor: httpx.AsyncClient) -> None:
    """Both stay to be seen; a third time it is refused."""
    one, other = await register(clinical, "M-1"), await register(clinical, "M-2")
    for patient_id in (one, other):
        await written(doctor, patient_id, "allergies")
    async with clinical.transaction() as session:
        await commands.merge_patients(session, one, into_patient_id=other)
    assert len(await items(doctor, other, "allergies")) == 2
    reply = await doctor.post(f"/patients/{one}/allergies", json=PENICILLIN)
    assert rule_of(reply, 409) == "rule:AllergyIsAlreadyRecorded"


# Procedures, vaccinations, vital signs, notes.


async def test_what_was_done_can_be_charged(clinical: Workplace, doctor: httpx.AsyncClient) -> None:
    """procedure.performed once per procedure, also when the request is repeated; TimeIsInTheFuture for what is yet to be."""
    patient_id = await register(clinical)
    for _ in range(2):
        reply = await doctor.post(
            f"/patients/{patient_id}/procedures", json=EVERYTHING["procedures"], headers={"Idempotency-Key": "p-1"}
        )
        assert reply.status_code == 201
    assert [event.code for event in await clinical.published(ProcedurePerformed)] == ["71045"]
    tomorrow = (clock.now() + timedelta(days=1)).isoformat()
    late = EVERYTHING["procedures"] | {"performed_at": tomorrow}
    assert rule_of(await doctor.post(f"/patients/{patient_id}/procedures", json=late), 422) == "rule:TimeIsInTheFuture"


async def test_doses_keep_their_order_and_distance(clinical: Workplace, doctor: httpx.AsyncClient) -> None:
    """What was recorded before decides, also under another code of the same vaccine; each dose is told once."""
    patient_id = await register(clinical)

    async def give(dose: int, day: str, code: str = "216") -> str:
        fields = {"vaccine_code": code, "dose": dose, "given_at": f"{day}T10:00:00Z"}
        reply = await doctor.post(f"/patients/{patient_id}/immunizations", json=fields)
        return "given" if reply.status_code == 201 else rule_of(reply, 409)

    assert await give(2, "1980-08-01") == "rule:PreviousDoseIsNotRecorded"
    assert await give(1, "1980-06-01") == "rule:PatientIsTooYoungForThisDose"
    assert await give(1, "1980-07-10") == "given"
    assert await give(1, "1980-07-10", code="133") == "rule:DoseWasAlreadyGiven"
    assert await give(2, "1980-08-01", code="133") == "rule:DoseIsTooSoonAfterThePrevious"
    assert await give(2, "1980-08-10", code="133") == "given"
    assert [(event.vaccine_code, event.dose) for event in await clinical.published(ImmunizationGiven)] == [
        ("216", 1),
        ("133", 2),
    ]


async def test_doses_are_counted_in_days_of_the_facility(clinical: Workplace, doctor: httpx.AsyncClient) -> None:
    """In Khartoum, in that summer, a day began at nine in the evening of UTC: for a dose, and for the dose before it."""
    patient_id = await register(clinical)

    async def give(dose: int, at: str) -> str:
        fields = {"vaccine_code": "133", "dose": dose, "given_at": f"{at}Z"}
        reply = await doctor.post(f"/patients/{patient_id}/immunizations", json=fields)
        return "given" if reply.status_code == 201 else rule_of(reply, 409)

    # Born on 17 May: six weeks later, less four days of grace, it is 24 June.
    assert await give(1, "1980-06-23T20:30:00") == "rule:PatientIsTooYoungForThisDose"
    assert await give(1, "1980-06-23T21:30:00") == "given"
    # The second on 10 August: four weeks later, less four days, it is 3 September.
    assert await give(2, "1980-08-09T21:30:00") == "given"
    assert await give(3, "1980-09-02T20:30:00") == "rule:DoseIsTooSoonAfterThePrevious"
    assert await give(3, "1980-09-02T21:30:00") == "given"


async def test_vital_signs_are_charted(clinical: Workplace, nurse: httpx.AsyncClient) -> None:
    """What was measured is told; what was not is null, and nothing at all is refused."""
    patient_id = await register(clinical)
    signs = {"pulse_per_minute": 88, "temperature_celsius": "38.4"}
    await written(nurse, patient_id, "vitals", **signs)
    [event] = await clinical.published(VitalsCharted)
    assert (event.pulse_per_minute, event.temperature_celsius, event.systolic_mmhg) == (88, Decimal("38.4"), None)
    [row] = await items(nurse, patient_id, "vitals")
    assert (row["recorded_by"], row["temperature_celsius"]) == ("nurse-1", "38.4")
    assert rule_of(await nurse.post(f"/patients/{patient_id}/vitals", json={}), 422) == "invalid"
    odd = await nurse.post(f"/patients/{patient_id}/vitals", json={"temperature_celsius": "99.1"})
    assert rule_of(odd, 422) == "rule:VitalSignIsImplausible"
    assert (odd.json()["sign"], "99.1" in odd.text) == ("temperature_celsius", False)


async def test_notes_follow_each_other(clinical: Workplace, nurse: httpx.AsyncClient) -> None:
    """The newest first, each with its author."""
    patient_id = await register(clinical)
    for words in ("Slept well.", "Ate nothing."):
        await written(nurse, patient_id, "clinical-notes", text=words)
    notes = await items(nurse, patient_id, "clinical-notes")
    assert [(note["text"], note["recorded_by"]) for note in notes] == [("Ate nothing.", "nurse-1"), ("Slept well.", "nurse-1")]
