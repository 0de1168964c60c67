"""Facility over HTTP: the real application on a real database."""

from __future__ import annotations

from uuid import uuid4

import httpx
import pytest

from tests.services.facility.house import House

HOUSE = {"name": "B", "kind": "clinic", "time_zone": "Africa/Khartoum", "currency": "SDG"}


@pytest.fixture
async def managers(house: House) -> httpx.AsyncClient:
    return house.at.client("facility_manager", "bed_manager", at=house.id)


def rule_of(response: httpx.Response, status: int) -> str:
    assert response.status_code == status, response.text
    return str(response.json()["type"]).removeprefix("urn:nilecare:")


async def created(managers: httpx.AsyncClient, path: str, asked: object, name: str) -> str:
    response = await managers.post(path, json=asked)
    assert response.status_code == 201, response.text
    return str(response.json()[name])


async def done(managers: httpx.AsyncClient, bed_id: str, what: str, asked: object = None) -> str:
    """The state of a bed after something was done with it."""
    response = await managers.post(f"/beds/{bed_id}/{what}", json=asked)
    assert response.status_code == 200, response.text
    return str(response.json()["status"])


async def test_from_a_department_to_a_bed_and_back(house: House, managers: httpx.AsyncClient) -> None:
    """Department, ward, bed; reserved, occupied, transferred, released, cleaned; each shows its state."""
    department = await created(managers, f"/facilities/{house.id}/departments", {"name": "Medicine"}, "department_id")
    ward = await created(managers, f"/departments/{department}/wards", {"name": "M1", "capacity": 2}, "ward_id")
    first = await created(managers, f"/wards/{ward}/beds", {"room": "1", "label": "1A"}, "bed_id")
    person = await house.person()
    asked = {"encounter_id": str(person.encounter_id), "patient_id": str(person.patient_id)}
    assert await done(managers, first, "reserve", asked) == "reserved"
    await house.admits(person)
    second = await created(managers, f"/wards/{ward}/beds", {"room": "1", "label": "1B"}, "bed_id")
    moved = await managers.post(f"/beds/{first}/transfer", json={"to_bed_id": second})
    assert (moved.json()["bed_id"], moved.json()["encounter_id"]) == (second, str(person.encounter_id))
    assert await done(managers, first, "clean") == "available"
    [found] = (await managers.get(f"/facilities/{house.id}/beds", params={"status": "occupied"})).json()["items"]
    assert found["bed_id"] == second
    assert await done(managers, second, "release", {"reason": "discharged"}) == "cleaning"
    assert await done(managers, second, "take-out-of-service", {"to": "maintenance"}) == "maintenance"
    assert await done(managers, second, "repaired") == "available"
    [stay] = (await managers.get(f"/beds/{first}/stays")).json()["items"]
    assert (stay["encounter_id"], stay["reason"]) == (str(person.encounter_id), "transferred")
    [request] = (await managers.get(f"/facilities/{house.id}/bed-requests")).json()["items"]
    assert request["status"] == "closed"


async def test_rules_are_told_by_name(house: House, managers: httpx.AsyncClient) -> None:
    """409 for what is forbidden now, 422 for what can never be, 404 for what there is not."""
    [bed_id] = await house.beds(1, capacity=1)
    assert rule_of(await managers.post(f"/beds/{bed_id}/clean"), 409) == "rule:BedCannotBecome"
    settings = f"/facilities/{house.id}/settings"
    wrong = await managers.put(f"{settings}/visiting_from", json={"value": 5})
    assert rule_of(wrong, 422) == "rule:SettingHasAnotherType"
    assert rule_of(await managers.put(f"{settings}/nothing", json={"value": 5}), 404) == "rule:SettingIsUnknown"
    assert (await managers.put(f"{settings}/bed_reservation_minutes", json={"value": 5})).json()["value"] == 5
    shown = {each["name"]: each["value"] for each in (await managers.get(settings)).json()["settings"]}
    assert (shown["bed_reservation_minutes"], shown["isolation_goes_first"]) == (5, True)
    asked = HOUSE | {"time_zone": "Africa/Atlantis"}
    assert rule_of(await managers.put(f"/facilities/{house.id}", json=asked), 422) == "rule:TimeZoneIsUnknown"
    assert (await managers.put(f"/facilities/{house.id}", json=HOUSE)).json()["currency"] == "SDG"
    await house.comes()
    assert rule_of(await managers.post(f"/facilities/{house.id}/deactivate"), 409) == "rule:FacilityHasPatients"


async def test_who_may_what(house: House) -> None:
    """Facility managers have no word about who lies where, bed managers none about the house, nurses only read."""
    [bed_id] = await house.beds(1)
    facility_manager, bed_manager = (house.at.client(role, at=house.id) for role in ("facility_manager", "bed_manager"))
    nurse = house.at.client("nurse", at=house.id)
    for client, path, status in (
        (facility_manager, f"/beds/{bed_id}/clean", 403),
        (bed_manager, f"/beds/{bed_id}/clean", 409),
        (bed_manager, f"/facilities/{house.id}/deactivate", 403),
        (nurse, f"/beds/{bed_id}/clean", 403),
    ):
        assert (await client.post(path)).status_code == status
    assert (await nurse.get(f"/beds/{bed_id}")).json()["status"] == "available"


async def test_another_facility_does_not_exist(house: House) -> None:
    """Its beds are 404, and nobody is transferred there; a facility is opened only by who may see it."""
    [bed_id] = await house.beds(1)
    stranger = await House.open(house.at)
    client = stranger.at.client("facility_manager", "bed_manager", at=stranger.id)
    own = (await stranger.beds(1))[0]
    for path in (f"/beds/{bed_id}", f"/facilities/{house.id}", f"/facilities/{house.id}/beds"):
        assert (await client.get(path)).status_code == 404
    assert (await client.post(f"/beds/{own}/transfer", json={"to_bed_id": str(bed_id)})).status_code == 404
    assert (await client.put(f"/facilities/{uuid4()}", json=HOUSE)).status_code == 404
    assert [each["facility_id"] for each in (await client.get("/facilities")).json()["items"]] == [str(stranger.id)]
