"""The lab over HTTP: the real application on a real database."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from contracts.lab import LabOrderPlaced
from tests.services.kit import Workplace
from tests.services.lab.bench import FACILITY, GLUCOSE, LABEL, POTASSIUM, catalogue, known_patient, merge, patient

ROLES = ("clinician", "technician", "pathologist", "lab_manager")


@pytest.fixture
async def staff(lab: Workplace) -> httpx.AsyncClient:
    await catalogue(lab)
    return lab.client(*ROLES, at=FACILITY)


@pytest.fixture
async def manager(lab: Workplace) -> httpx.AsyncClient:
    """Of the labs of every facility."""
    await catalogue(lab)
    return lab.client("lab_manager", at=None)


def created(response: httpx.Response, name: str) -> str:
    assert response.status_code == 201, response.text
    return str(response.json()[name])


def rule_of(response: httpx.Response, status: int) -> str:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert "Amal" not in response.text
    return str(response.json()["type"]).removeprefix("urn:nilecare:")


async def ordered(staff: httpx.AsyncClient, patient_id: UUID, *tests: str) -> str:
    asked = {"patient_id": str(patient_id), "tests": tests or [POTASSIUM]}
    return created(await staff.post("/lab-orders", json=asked), "order_id")


async def sampled(staff: httpx.AsyncClient, order_id: str) -> str:
    sample_id = created(await staff.post(f"/lab-orders/{order_id}/samples", json={"label": LABEL}), "sample_id")
    await staff.post(f"/samples/{sample_id}/send")
    reply = await staff.post(f"/samples/{sample_id}/receive", json={})
    assert reply.json()["status"] == "received"
    return sample_id


async def resulted(staff: httpx.AsyncClient, order_id: str) -> str:
    await staff.post(f"/samples/{await sampled(staff, order_id)}/accept")
    asked = {"test_code": POTASSIUM, "value": "6.8", "unit": "mmol/L"}
    result_id = created(await staff.post(f"/lab-orders/{order_id}/results", json=asked), "result_id")
    assert (await staff.post(f"/lab-results/{result_id}/verify", json={})).status_code == 200
    return result_id


async def test_orders_are_listed_under_every_id_of_a_patient(lab: Workplace, staff: httpx.AsyncClient) -> None:
    """Whether one asks for the merged record or for the one that lives on; nobody else's, and none for whom nobody knows."""
    merged, survivor = await known_patient(lab), await known_patient(lab)
    orders = {await ordered(staff, patient_id) for patient_id in (merged, survivor)}
    await ordered(staff, await known_patient(lab))
    await merge(lab, merged, survivor)
    for patient_id, expected in ((merged, orders), (survivor, orders), (uuid4(), set())):
        listed = await staff.get("/lab-orders", params={"patient_id": str(patient_id)})
        assert {order["order_id"] for order in listed.json()["items"]} == expected


async def test_from_order_to_corrected_result(lab: Workplace, staff: httpx.AsyncClient) -> None:
    """Order, sample, result, correction: each shows its state, and what the result said before can be read."""
    order_id = await ordered(staff, await known_patient(lab))
    result_id = await resulted(staff, order_id)
    result = (await staff.get(f"/lab-results/{result_id}")).json()
    assert (result["value"], result["flag"], result["is_critical"], result["status"]) == ("6.8", "HH", True, "final")
    assert (await staff.get(f"/lab-orders/{order_id}")).json()["status"] == "completed"
    correction = {"value": "4.8", "unit": "mmol/L", "reason": "haemolysed"}
    corrected = await staff.post(f"/lab-results/{result_id}/correct", json=correction)
    assert (corrected.json()["value"], corrected.json()["flag"]) == ("4.8", None)
    [before] = (await staff.get(f"/lab-results/{result_id}/corrections")).json()["items"]
    assert (before["previous_value"], before["reason"]) == ("6.8", "haemolysed")
    assert [item["result_id"] for item in (await staff.get(f"/lab-orders/{order_id}/results")).json()["items"]] == [result_id]


async def test_who_said_what_a_result_says_is_kept(lab: Workplace, staff: httpx.AsyncClient) -> None:
    """Who entered, verified and corrected it, by the user; a program is nobody."""
    technician, pathologist, other = uuid4(), uuid4(), uuid4()
    order_id = await ordered(staff, await known_patient(lab))
    await staff.post(f"/samples/{await sampled(staff, order_id)}/accept")
    value = {"value": "6.8", "unit": "mmol/L"}
    bench = lab.client("technician", at=FACILITY, subject=str(technician))
    entered = await bench.post(f"/lab-orders/{order_id}/results", json={"test_code": POTASSIUM, **value})
    result_id = created(entered, "result_id")
    assert (entered.json()["entered_by"], entered.json()["verified_by"]) == (str(technician), None)
    desk = lab.client("pathologist", at=FACILITY, subject=str(pathologist))
    await desk.post(f"/lab-results/{result_id}/verify", json={})
    correction = {"value": "4.8", "unit": "mmol/L", "reason": "haemolysed"}
    for corrects in (lab.client("pathologist", at=FACILITY, subject=str(other)), staff):
        await corrects.post(f"/lab-results/{result_id}/correct", json=correction)
        correction |= {"value": "4.9"}
    result = (await staff.get(f"/lab-results/{result_id}")).json()
    assert (result["entered_by"], result["verified_by"]) == (str(technician), str(pathologist))
    corrections = (await staff.get(f"/lab-results/{result_id}/corrections")).json()["items"]
    assert [each["corrected_by"] for each in corrections] == [str(other), None]


async def test_who_gave_a_result_up_is_kept(lab: Workplace, staff: httpx.AsyncClient) -> None:
    """The user and when, beside who had entered it; a program is nobody, and of a result that stands nobody is."""
    technician = uuid4()
    order_id = await ordered(staff, await known_patient(lab))
    await staff.post(f"/samples/{await sampled(staff, order_id)}/accept")
    value = {"test_code": POTASSIUM, "value": "6.8", "unit": "mmol/L"}
    for gives_up in (lab.client("technician", at=FACILITY, subject=str(technician)), staff):
        result_id = created(await staff.post(f"/lab-orders/{order_id}/results", json=value), "result_id")
        given_up = (await gives_up.post(f"/lab-results/{result_id}/cancel")).json()
        assert given_up["cancelled_at"] is not None
    await staff.post(f"/lab-orders/{order_id}/results", json=value)
    results = (await staff.get(f"/lab-orders/{order_id}/results")).json()["items"]
    assert [each["cancelled_by"] for each in results] == [str(technician), None, None]
    assert [each["cancelled_at"] is None for each in results] == [False, False, True]


async def test_a_patient_who_has_not_arrived_is_worth_another_try(lab: Workplace, staff: httpx.AsyncClient) -> None:
    """409 not-yet with Retry-After, until the reference is there; then the same request places the order."""
    state = patient()
    asked = {"patient_id": str(state.patient_id), "tests": [POTASSIUM]}
    key = {"Idempotency-Key": "order-1"}
    early = await staff.post("/lab-orders", json=asked, headers=key)
    assert rule_of(early, 409) == "not-yet"
    assert early.headers["Retry-After"]
    await lab.deliver(state)
    order_id = created(await staff.post("/lab-orders", json=asked, headers=key), "order_id")
    assert created(await staff.post("/lab-orders", json=asked, headers=key), "order_id") == order_id
    assert len(await lab.published(LabOrderPlaced)) == 1


async def test_a_draft_is_sent_held_resumed_and_cancelled(lab: Workplace, staff: httpx.AsyncClient) -> None:
    """Each step shows the new state."""
    asked = {"patient_id": str(await known_patient(lab)), "tests": [POTASSIUM]}
    address = f"/lab-orders/{created(await staff.post('/lab-orders/drafts', json=asked), 'order_id')}"
    why = {"reason": "patient asks"}
    steps = [("send", None), ("hold", why), ("resume", None), ("cancel", why)]
    states = [(await staff.post(f"{address}/{step}", json=body)).json()["status"] for step, body in steps]
    assert states == ["ordered", "on_hold", "ordered", "cancelled"]


async def test_a_rejected_sample_gives_the_order_for_a_new_one(lab: Workplace, staff: httpx.AsyncClient) -> None:
    """The reply is the new order, which names the first one; a reason that is none is refused."""
    order_id = await ordered(staff, await known_patient(lab))
    sample_id = await sampled(staff, order_id)
    assert rule_of(await staff.post(f"/samples/{sample_id}/reject", json={"reason": "ugly"}), 422) == "invalid"
    again = await staff.post(f"/samples/{sample_id}/reject", json={"reason": "clotted"})
    assert created(again, "recollects") == order_id
    [sample] = (await staff.get(f"/lab-orders/{order_id}/samples")).json()["items"]
    assert (sample["status"], sample["rejection_reason"]) == ("rejected", "clotted")


async def test_a_label_with_one_identifier_is_refused_by_name(lab: Workplace, staff: httpx.AsyncClient) -> None:
    """SampleNeedsTwoIdentifiers, and SampleLabelDoesNotMatchThePatient, without saying who it is."""
    address = f"/lab-orders/{await ordered(staff, await known_patient(lab))}/samples"
    one = await staff.post(address, json={"label": {"full_name": LABEL["full_name"]}})
    assert rule_of(one, 422) == "rule:SampleNeedsTwoIdentifiers"
    other = await staff.post(address, json={"label": LABEL | {"birth_date": "1999-01-01"}})
    assert rule_of(other, 409) == "rule:SampleLabelDoesNotMatchThePatient"


async def test_orders_come_in_pages(lab: Workplace, staff: httpx.AsyncClient) -> None:
    """The newest first, each once; of one patient or in one state where asked for."""
    patient_id, other = await known_patient(lab), await known_patient(lab)
    placed = [await ordered(staff, patient_id) for _ in range(3)]
    await ordered(staff, other)
    first = (await staff.get("/lab-orders", params={"limit": 2, "patient_id": str(patient_id)})).json()
    more = {"limit": 2, "patient_id": str(patient_id), "cursor": first["next"]}
    second = (await staff.get("/lab-orders", params=more)).json()
    assert [item["order_id"] for item in first["items"] + second["items"]] == placed[::-1]
    assert second["next"] is None
    assert (await staff.get("/lab-orders", params={"status": "cancelled"})).json()["items"] == []


async def test_the_catalogue_is_kept_by_its_manager(manager: httpx.AsyncClient) -> None:
    """A definition can be read as it was given; broken ranges are refused by name."""
    ranges: list[dict[str, Any]] = [{"sex": "female", "low": "12", "high": "16", "danger_low": "5", "danger_high": "22"}]
    asked = {"name": "Haemoglobin", "unit": "g/dL", "ranges": ranges}
    assert (await manager.put("/lab-tests/718-7", json=asked)).status_code == 200
    shown = (await manager.get("/lab-tests/718-7")).json()
    assert (shown["unit"], shown["ranges"][0]["danger_high"], shown["active"]) == ("g/dL", "22", True)
    twice = await manager.put("/lab-tests/718-7", json=asked | {"ranges": ranges * 2})
    assert rule_of(twice, 422) == "rule:ReferenceRangesOverlap"
    codes = [item["code"] for item in (await manager.get("/lab-tests")).json()["items"]]
    assert codes == sorted([*codes])
    assert "718-7" in codes


async def test_the_manager_of_one_facility_reads_what_all_share(staff: httpx.AsyncClient) -> None:
    """RoleMustCountEverywhere: what is written there holds in other houses too."""
    tried = await staff.put(f"/lab-tests/{POTASSIUM}", json={"name": "K", "unit": "mmol/L", "active": False})
    assert rule_of(tried, 403) == "rule:RoleMustCountEverywhere"
    assert (await staff.get(f"/lab-tests/{POTASSIUM}")).json()["active"]


async def test_how_a_test_is_gone_about_is_part_of_the_catalogue(manager: httpx.AsyncClient) -> None:
    """Delta, auto-verification, controls, duplicates and reflex tests are shown as given; what makes no sense is refused."""
    given: dict[str, Any] = {
        "delta": {"days": 3, "absolute": "1", "percent": None},
        "auto_verify": True,
        "control_hours": 8,
        "duplicate_hours": 4,
        "reflexes": [{"further_test": GLUCOSE, "flag": "H", "below": None, "above": None}],
    }
    asked = {"name": "Haemoglobin", "unit": "g/dL"}
    shown = (await manager.put("/lab-tests/718-7", json=asked | given)).json()
    assert {name: shown[name] for name in given} == given
    without_limit = {"delta": {"days": 3}}
    assert rule_of(await manager.put("/lab-tests/718-7", json=asked | without_limit), 422) == "rule:DeltaNeedsALimit"
    by_default = (await manager.put("/lab-tests/718-7", json=asked)).json()
    defaults: dict[str, Any] = {
        "delta": None,
        "auto_verify": False,
        "control_hours": 24,
        "duplicate_hours": None,
        "reflexes": [],
    }
    assert {name: by_default[name] for name in given} == defaults


async def test_a_critical_result_is_called(lab: Workplace, staff: httpx.AsyncClient) -> None:
    """It stands in the list of those that are due until it was read back; a refusal tells nothing of the value."""
    result_id = await resulted(staff, await ordered(staff, await known_patient(lab)))
    [waiting] = (await staff.get("/critical-results", params={"status": "due"})).json()["items"]
    assert (waiting["result_id"], waiting["escalations"]) == (result_id, 0)
    address = f"/lab-results/{result_id}/critical-call"
    wrong = await staff.post(address, json={"read_back": "8.6", "callee_role": "nurse"})
    assert rule_of(wrong, 409) == "rule:ReadBackDoesNotMatch"
    assert "6.8" not in wrong.text
    assert rule_of(await staff.post(address, json={"read_back": "6.8", "callee_role": "Sister Mary"}), 422) == "invalid"
    call_id = created(await staff.post(address, json={"read_back": "6.8", "callee_role": "nurse"}), "call_id")
    [call] = (await staff.get(f"/lab-results/{result_id}/critical-calls")).json()["items"]
    assert (call["call_id"], call["callee_role"], call["was_late"]) == (call_id, "nurse", False)
    assert (await staff.get("/critical-results", params={"status": "due"})).json()["items"] == []


async def test_who_did_it_is_the_user_who_asked(lab: Workplace) -> None:
    """The token's user ordered, measured the control, and called; a program's token leaves that open."""
    await catalogue(lab)
    patient_id, user = await known_patient(lab), uuid4()
    for subject, known in ((str(user), str(user)), ("analyser-7", None)):
        staff = lab.client(*ROLES, at=FACILITY, subject=subject)
        asked = {"facility_id": str(FACILITY), "test_code": POTASSIUM, "level": 1, "value": "4", "target": "4", "sd": "0.1"}
        assert (await staff.post("/controls", json=asked)).json()["measured_by"] == known
        order_id = await ordered(staff, patient_id)
        assert (await staff.get(f"/lab-orders/{order_id}")).json()["ordered_by"] == known
        result_id = await resulted(staff, order_id)
        read_back = {"read_back": "6.8", "callee_id": str(user)}
        called = await staff.post(f"/lab-results/{result_id}/critical-call", json=read_back)
        assert (called.json()["called_by"], called.json()["callee_id"]) == (known, str(user))


async def test_controls_are_judged_and_listed(lab: Workplace, staff: httpx.AsyncClient) -> None:
    """The reply says what a control means; the newest stands first; another facility neither sees nor adds any."""
    asked = {"facility_id": str(FACILITY), "test_code": POTASSIUM, "level": 1, "target": "4", "sd": "0.1"}
    outcomes = [(await staff.post("/controls", json=asked | {"value": value})).json()["outcome"] for value in ("4.1", "4.4")]
    assert outcomes == ["in_control", "1_3s"]
    listed = (await staff.get("/controls", params={"test_code": POTASSIUM})).json()["items"]
    assert [item["value"] for item in listed] == ["4.4", "4.1"]
    assert (await staff.get("/controls", params={"test_code": GLUCOSE})).json()["items"] == []
    stranger = lab.client(*ROLES, at=uuid4())
    assert (await stranger.get("/controls")).json()["items"] == []
    assert (await stranger.post("/controls", json=asked | {"value": "4"})).status_code == 404


async def test_another_facility_sees_nothing(lab: Workplace, staff: httpx.AsyncClient) -> None:
    """For a token of another facility nothing of this one exists: the answer is that for a random id."""
    order_id = await ordered(staff, await known_patient(lab), POTASSIUM, GLUCOSE)
    result_id = await resulted(staff, order_id)
    [sample] = (await staff.get(f"/lab-orders/{order_id}/samples")).json()["items"]
    patient_id = str(await known_patient(lab))
    stranger = lab.client(*ROLES, at=uuid4())
    nowhere = await stranger.get(f"/lab-orders/{uuid4()}")
    tries = [
        await stranger.get(f"/lab-orders/{order_id}"),
        await stranger.post(f"/lab-orders/{order_id}/cancel", json={"reason": "no"}),
        await stranger.get(f"/lab-orders/{order_id}/results"),
        await stranger.get(f"/lab-results/{result_id}"),
        await stranger.post(f"/lab-results/{result_id}/correct", json={"text_value": "x", "reason": "no"}),
        await stranger.post(f"/samples/{sample['sample_id']}/store"),
        await stranger.post("/lab-orders", json={"patient_id": patient_id, "tests": [POTASSIUM]}),
    ]
    assert [(reply.status_code, reply.json()) for reply in tries] == [(404, nowhere.json())] * len(tries)
    assert (await stranger.get("/lab-orders")).json()["items"] == []


async def test_each_role_does_its_own(lab: Workplace, staff: httpx.AsyncClient) -> None:
    """A technician orders nothing and verifies nothing, a clinician receives no sample and defines no test."""
    order_id = await ordered(staff, await known_patient(lab))
    technician, clinician = lab.client("technician", at=FACILITY), lab.client("clinician", at=FACILITY)
    sample_id = created(await clinician.post(f"/lab-orders/{order_id}/samples", json={"label": LABEL}), "sample_id")
    tries = [
        await technician.post("/lab-orders", json={"patient_id": str(uuid4()), "tests": [POTASSIUM]}),
        await technician.post(f"/lab-results/{uuid4()}/verify", json={}),
        await clinician.post(f"/samples/{sample_id}/receive", json={}),
        await clinician.put(f"/lab-tests/{POTASSIUM}", json={"name": "K", "unit": "mmol/L"}),
    ]
    assert [reply.status_code for reply in tries] == [403] * len(tries)


@pytest.mark.parametrize(
    "fields",
    [
        {"value": "NaN"},
        {"value": "1e999"},
        {"value": "much"},
        {"value": "1", "text_value": "x"},
        {"value": None},
        {"unit": "pinches"},
        {"unit": "mg/dL"},
        {"unit": None},
        {"colour": "red"},
    ],
)
async def test_bad_values_are_a_clear_problem(lab: Workplace, staff: httpx.AsyncClient, fields: dict[str, Any]) -> None:
    """422, by the name of the rule or of the field, and no result is kept."""
    order_id = await ordered(staff, await known_patient(lab))
    await staff.post(f"/samples/{await sampled(staff, order_id)}/accept")
    asked = {"test_code": POTASSIUM, "value": "4", "unit": "mmol/L"} | fields
    rule_of(await staff.post(f"/lab-orders/{order_id}/results", json=asked), 422)
    assert (await staff.get(f"/lab-orders/{order_id}/results")).json()["items"] == []
