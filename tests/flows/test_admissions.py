"""An inpatient stay: admitted in clinical, to a bed of facility, which goes to the next when it is clean."""

from __future__ import annotations

from datetime import timedelta

from tests.flows.beds import admit, begin, clean, furnish, lies_in, plan, reserve, state
from tests.flows.hospital import Hospital, Person
from tests.flows.running import Running

BECAUSE = {"reason": "because"}


async def test_a_bed_goes_from_one_inpatient_to_the_next(running: Running, hospital: Hospital) -> None:
    """Admission gives a bed; who finds none waits; discharge leaves it to be cleaned; then who waits has it."""
    floor = await furnish(hospital, 1, name="one after the other")
    first = await admit(hospital, await hospital.registers(), ward_id=floor.ward)
    assert await lies_in(hospital, first) == floor.beds[0]
    second = await plan(hospital, await hospital.registers(), ward_id=floor.ward)
    admission = await begin(hospital, second)
    assert "bed.request.waiting" in await running.published(admission.flow, "facility")
    assert await lies_in(hospital, second) is None
    discharge = await hospital.discharges(first)
    assert "bed.released" in await running.published(discharge.flow, "facility")
    assert (await lies_in(hospital, first), await state(hospital, floor.beds[0])) == (None, "cleaning")
    assert await lies_in(hospital, second) is None
    cleaned = await clean(hospital, floor.beds[0])
    assert "bed.assigned" in await running.published(cleaned.flow, "facility")
    assert await lies_in(hospital, second) == floor.beds[0]
    await hospital.discharges(second)


async def test_a_transfer_is_shown_in_clinical(running: Running, hospital: Hospital) -> None:
    """The encounter shows the new bed, and clinical says that its patient was transferred."""
    floor = await furnish(hospital, 2, name="transfer")
    encounter = await admit(hospital, await hospital.registers(), ward_id=floor.ward)
    bed = await lies_in(hospital, encounter)
    [other] = {*floor.beds} - {bed}
    moved = await hospital.ask("facility", "POST", f"/beds/{bed}/transfer", {"to_bed_id": other})
    assert await lies_in(hospital, encounter) == other
    assert await running.published(moved.flow, "clinical") == ["encounter.transferred"]
    await hospital.discharges(encounter)


async def test_a_cancelled_encounter_frees_its_reservation(hospital: Hospital) -> None:
    """Who waits has the bed at once: nobody lay in it."""
    floor = await furnish(hospital, 1, name="cancelled")
    person = await hospital.registers()
    planned = await plan(hospital, person)
    await reserve(hospital, floor.beds[0], person, planned)
    waiting = await admit(hospital, await hospital.registers(), ward_id=floor.ward)
    assert await lies_in(hospital, waiting) is None
    await hospital.ask("clinical", "POST", f"/encounters/{planned}/cancel", BECAUSE)
    assert await lies_in(hospital, waiting) == floor.beds[0]
    await hospital.discharges(waiting)


async def test_a_reservation_is_used_or_ends(running: Running, hospital: Hospital) -> None:
    """Who comes in time has the bed that was kept; after two hours a bed is free again."""
    floor = await furnish(hospital, 2, name="reserved")
    comes, does_not = await hospital.registers(), await hospital.registers()
    expected = await plan(hospital, comes)
    await reserve(hospital, floor.beds[0], comes, expected)
    await reserve(hospital, floor.beds[1], does_not, await plan(hospital, does_not))
    await begin(hospital, expected)
    assert await lies_in(hospital, expected) == floor.beds[0]
    await running.move_clock(timedelta(hours=2))
    assert [await state(hospital, bed) for bed in floor.beds] == ["occupied", "available"]
    await hospital.discharges(expected)


async def test_what_facility_hears_late_leaves_no_bed_occupied(running: Running, hospital: Hospital) -> None:
    """Admission and discharge wait for the patient's reference, and then take effect in their order."""
    floor = await furnish(hospital, 1, name="late")
    async with running.held_back("facility.patient_reference"):
        person, asked = hospital.new_person()
        registration = await hospital.begin("clinical", "POST", "/patients", asked)
        person = Person(registration["patient_id"], person.name, person.number, person.born)
        planned = {"patient_id": person.id, "encounter_class": "inpatient", "ward_id": floor.ward}
        encounter = (await hospital.begin("clinical", "POST", "/encounters", planned))["encounter_id"]
        for step in ("arrive", "start", "discharge"):
            await hospital.begin("clinical", "POST", f"/encounters/{encounter}/{step}", {})
        assert await state(hospital, floor.beds[0]) == "available"
    await running.settled()
    assert await lies_in(hospital, encounter) is None
    assert await state(hospital, floor.beds[0]) == "cleaning"
    [stay] = (await hospital.ask("facility", "GET", f"/beds/{floor.beds[0]}/stays")).items
    assert (stay["encounter_id"], stay["reason"]) == (encounter, "discharged")
