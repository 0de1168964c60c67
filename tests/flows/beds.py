"""Inpatients and their beds, as the staff of a facility sees to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.flows.hospital import Hospital, Person, Reply


@dataclass(frozen=True, slots=True)
class Floor:
    """A ward and its beds."""

    department: str
    ward: str
    beds: list[str]


async def furnish(hospital: Hospital, beds: int, *, name: str) -> Floor:
    """A department with one ward, whose beds stand in one room."""
    departments = f"/facilities/{hospital.id}/departments"
    department = (await hospital.ask("facility", "POST", departments, {"name": name}))["department_id"]
    asked = {"name": name, "capacity": beds}
    ward = (await hospital.ask("facility", "POST", f"/departments/{department}/wards", asked))["ward_id"]
    made = [await hospital.ask("facility", "POST", f"/wards/{ward}/beds", bed_number(number)) for number in range(beds)]
    return Floor(department, ward, [bed["bed_id"] for bed in made])


def bed_number(number: int) -> dict[str, str]:
    """A bed of the ward's one room."""
    return {"room": "1", "label": str(number)}


async def plan(hospital: Hospital, person: Person, **asked: Any) -> str:
    """An inpatient's stay that has not begun."""
    planned = {"patient_id": person.id, "encounter_class": "inpatient", **asked}
    return str((await hospital.ask("clinical", "POST", "/encounters", planned))["encounter_id"])


async def begin(hospital: Hospital, encounter: str) -> Reply:
    """The patient comes, and is admitted."""
    await hospital.begin("clinical", "POST", f"/encounters/{encounter}/arrive", {})
    return await hospital.ask("clinical", "POST", f"/encounters/{encounter}/start", {})


async def admit(hospital: Hospital, person: Person, **asked: Any) -> str:
    """An inpatient who is here."""
    encounter = await plan(hospital, person, **asked)
    await begin(hospital, encounter)
    return encounter


async def reserve(hospital: Hospital, bed: str, person: Person, encounter: str) -> Reply:
    """A bed is kept for a stay."""
    asked = {"encounter_id": encounter, "patient_id": person.id}
    return await hospital.ask("facility", "POST", f"/beds/{bed}/reserve", asked)


async def clean(hospital: Hospital, bed: str) -> Reply:
    """The bed is clean."""
    return await hospital.ask("facility", "POST", f"/beds/{bed}/clean")


async def lies_in(hospital: Hospital, encounter: str) -> str | None:
    """The bed that facility and clinical both say an encounter has."""
    beds = (await hospital.ask("facility", "GET", f"/facilities/{hospital.id}/beds", params={"encounter_id": encounter})).items
    occupied = [bed["bed_id"] for bed in beds if bed["status"] == "occupied"]
    shown = (await hospital.shows("clinical", f"/encounters/{encounter}"))["bed_id"]
    assert occupied == ([shown] if shown else [])
    return str(shown) if shown else None


async def state(hospital: Hospital, bed: str) -> str:
    """A bed's state."""
    return str((await hospital.shows("facility", f"/beds/{bed}"))["status"])
