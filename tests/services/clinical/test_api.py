"""Clinical over HTTP: the real application on a real database."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from contracts.clinical import PatientRegistered
from contracts.lab import LabResultAvailable
from tests.services.clinical.conftest import ELSEWHERE, HERE
from tests.services.clinical.test_handlers import paid, said
from tests.services.kit import Workplace

PERSONAL = "Amal Haddad"


def person(number: str = "M-1", facility_id: UUID = HERE, **fields: Any) -> dict[str, Any]:
    return {
        "facility_id": str(facility_id),
        "medical_record_number": number,
        "full_name": PERSONAL,
        "birth_date": "1980-05-17",
        "sex": "female",
        **fields,
    }


@pytest.fixture
def staff(clinical: Workplace) -> httpx.AsyncClient:
    return clinical.client("registrar", "clinician", at=HERE)


@pytest.fixture
def stranger(clinical: Workplace) -> httpx.AsyncClient:
    return clinical.client("registrar", "clinician", at=ELSEWHERE)


async def registered(staff: httpx.AsyncClient, number: str = "M-1") -> str:
    response = await staff.post("/patients", json=person(number))
    assert response.status_code == 201, response.text
    return str(response.json()["patient_id"])


async def planned(staff: httpx.AsyncClient, patient_id: str) -> str:
    response = await staff.post("/encounters", json={"patient_id": patient_id, "encounter_class": "ambulatory"})
    assert response.status_code == 201, response.text
    return str(response.json()["encounter_id"])


def rule_of(response: httpx.Response, status: int) -> str:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert PERSONAL not in response.text
    return str(response.json()["type"]).removeprefix("urn:nilecare:")


async def test_a_patient_is_registered_read_and_found(staff: httpx.AsyncClient) -> None:
    """What was sent can be read by id, found by medical record number, and changed."""
    patient_id = await registered(staff)
    assert (await staff.get(f"/patients/{patient_id}")).json()["full_name"] == PERSONAL
    found = await staff.post("/patients/search", json={"facility_id": str(HERE), "medical_record_number": "M-1"})
    assert found.json()["patient_id"] == patient_id
    changed = await staff.patch(f"/patients/{patient_id}", json={"full_name": "Amal Khoury"})
    assert changed.json()["full_name"] == "Amal Khoury"


async def test_the_same_request_again_registers_nobody(clinical: Workplace, staff: httpx.AsyncClient) -> None:
    """With an Idempotency-Key the second reply is the first one; without one, the rule says what is wrong."""
    key = {"Idempotency-Key": "k-1"}
    first = await staff.post("/patients", json=person(), headers=key)
    again = await staff.post("/patients", json=person(), headers=key)
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert rule_of(await staff.post("/patients", json=person()), 409) == "rule:MedicalRecordNumberIsTaken"
    assert len(await clinical.published(PatientRegistered)) == 1


async def test_an_encounter_from_plan_to_discharge(staff: httpx.AsyncClient) -> None:
    """Each step shows the new state; a step out of order names the rule and the state."""
    encounter_id = await planned(staff, await registered(staff))
    early = await staff.post(f"/encounters/{encounter_id}/discharge", json={})
    assert rule_of(early, 409) == "rule:EncounterCannotBecome"
    assert early.json()["state"] == "planned"
    states = [
        (await staff.post(f"/encounters/{encounter_id}/{step}", json={})).json()["status"]
        for step in ("arrive", "start", "discharge")
    ]
    assert states == ["arrived", "in_progress", "finished"]
    assert (await staff.get(f"/encounters/{encounter_id}")).json()["discharged_at"] is not None


async def test_an_encounter_that_does_not_count_has_a_reason(staff: httpx.AsyncClient) -> None:
    """Cancelling and marking as error need one."""
    patient_id = await registered(staff)
    for step, state in (("cancel", "cancelled"), ("entered-in-error", "entered_in_error")):
        address = f"/encounters/{await planned(staff, patient_id)}/{step}"
        assert rule_of(await staff.post(address, json={}), 422) == "invalid"
        assert (await staff.post(address, json={"reason": "wrong day"})).json()["status"] == state


async def test_the_record_of_a_merged_patient_is_that_of_the_other(clinical: Workplace, staff: httpx.AsyncClient) -> None:
    """Results, paid invoices and encounters are read under both ids; an unmerge gives them back."""
    merged, survivor = await registered(staff, "M-1"), await registered(staff, "M-2")
    await planned(staff, merged)
    await clinical.deliver(LabResultAvailable(**said(UUID(merged))))
    await clinical.deliver(paid(UUID(merged)))
    reply = await staff.post(f"/patients/{merged}/merge", json={"into_patient_id": survivor})
    assert reply.json()["patient_id"] == survivor
    assert (await staff.get(f"/patients/{merged}")).json()["merged_into"] == survivor
    for part in ("results", "paid-invoices", "encounters"):
        for patient_id in (merged, survivor):
            items = (await staff.get(f"/patients/{patient_id}/{part}")).json()["items"]
            assert [item["patient_id"] for item in items] == [survivor]
    assert (await staff.post(f"/patients/{merged}/unmerge")).json()["status"] == "active"
    assert (await staff.get(f"/patients/{survivor}/results")).json()["items"] == []


async def test_patients_come_in_pages(staff: httpx.AsyncClient, stranger: httpx.AsyncClient) -> None:
    """Every patient of the token's facility once, in the order of registration; none of another facility."""
    numbers = [f"M-{number}" for number in range(5)]
    for number in numbers:
        await registered(staff, number)
    await stranger.post("/patients", json=person("M-X", ELSEWHERE))
    seen, cursor = [], None
    while True:
        page = (await staff.get("/patients", params={"limit": 2} | ({"cursor": cursor} if cursor else {}))).json()
        seen += [item["medical_record_number"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == numbers


async def test_another_facility_sees_nothing(staff: httpx.AsyncClient, stranger: httpx.AsyncClient) -> None:
    """For a token of another facility a patient and an encounter do not exist: the answer is that for a random id."""
    patient_id = await registered(staff)
    encounter_id = await planned(staff, patient_id)
    own = (await stranger.post("/patients", json=person(facility_id=ELSEWHERE))).json()["patient_id"]
    nowhere = await stranger.get(f"/patients/{uuid4()}")
    tries = [
        await stranger.get(f"/patients/{patient_id}"),
        await stranger.get(f"/patients/{patient_id}/results"),
        await stranger.patch(f"/patients/{patient_id}", json={"full_name": "X"}),
        await stranger.post(f"/patients/{patient_id}/merge", json={"into_patient_id": own}),
        await stranger.post(f"/patients/{own}/merge", json={"into_patient_id": patient_id}),
        await stranger.post(f"/patients/{patient_id}/death", json={"deceased_on": "2020-01-01"}),
        await stranger.post("/patients", json=person("M-2")),
        await stranger.post("/patients/search", json={"facility_id": str(HERE), "medical_record_number": "M-1"}),
        await stranger.post("/encounters", json={"patient_id": patient_id, "encounter_class": "ambulatory"}),
        await stranger.get(f"/encounters/{encounter_id}"),
        await stranger.post(f"/encounters/{encounter_id}/cancel", json={"reason": "no"}),
    ]
    assert [(reply.status_code, reply.json()) for reply in tries] == [(404, nowhere.json())] * len(tries)


async def test_each_role_does_its_own(clinical: Workplace, staff: httpx.AsyncClient) -> None:
    """A registrar reads no results, a clinician registers nobody, a technician does nothing here, and no token gets in."""
    patient_id = await registered(staff)
    registrar, clinician = clinical.client("registrar", at=HERE), clinical.client("clinician", at=HERE)
    technician = clinical.client("technician", at=HERE)
    assert (await registrar.get(f"/patients/{patient_id}/results")).status_code == 403
    assert (await clinician.post("/patients", json=person("M-2"))).status_code == 403
    assert (await technician.get(f"/patients/{patient_id}")).status_code == 403
    staff.headers.pop("Authorization")
    assert (await staff.get(f"/patients/{patient_id}")).status_code == 401


@pytest.mark.parametrize(
    "fields",
    [
        {"full_name": ""},
        {"full_name": "a\x00b"},
        {"birth_date": "1980-13-01"},
        {"birth_date": "2999-01-01"},
        {"sex": "F"},
        {"facility_id": "here"},
        {"medical_record_number": "9" * 51},
        {"shoe_size": 42},
    ],
)
async def test_bad_input_is_a_clear_problem(staff: httpx.AsyncClient, fields: dict[str, Any]) -> None:
    """422, with nothing of the input in the answer."""
    rule_of(await staff.post("/patients", json=person() | fields), 422)


async def test_an_update_changes_something(staff: httpx.AsyncClient) -> None:
    """An empty update is refused."""
    assert rule_of(await staff.patch(f"/patients/{await registered(staff)}", json={}), 422) == "invalid"


async def test_a_patient_rests_returns_and_dies(staff: httpx.AsyncClient) -> None:
    """The states follow the requests; from death nothing leads back."""
    patient_id = await registered(staff)
    assert (await staff.post(f"/patients/{patient_id}/deactivate")).json()["status"] == "inactive"
    assert (await staff.post(f"/patients/{patient_id}/reactivate")).json()["status"] == "active"
    death = await staff.post(f"/patients/{patient_id}/death", json={"deceased_on": "2020-01-01"})
    assert death.json()["status"] == "deceased"
    assert rule_of(await staff.post(f"/patients/{patient_id}/reactivate"), 409) == "rule:PatientCannotBecome"
