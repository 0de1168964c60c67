"""Admission (flow 2): an inpatient stay that begins in clinical gets a bed of facility, or waits for one that is released."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from broker.testing import Flow
from contracts.clinical import EncounterAdmitted, EncounterCancelled, EncounterDischarged, EncounterTransferred
from contracts.facility import (
    BedAssigned,
    BedReleased,
    BedRequestWaiting,
    BedReservationExpired,
    BedReserved,
    BedStatusChanged,
)
from services.facility.replicas import PatientReference
from tests.flows.beds import admit, begin, clean, furnish, lies_in, plan, reserve, state
from tests.flows.hospital import Hospital, Person

BECAUSE = {"reason": "because"}


async def test_an_admission_gives_a_bed(flow: Flow, hospital: Hospital) -> None:
    """Clinical says that the stay began, facility which bed it has, and clinical shows it."""
    floor = await furnish(hospital, 1, name="a bed")
    [bed] = floor.beds
    stay = await plan(hospital, await hospital.registers(), ward_id=floor.ward)
    async with flow.started_by(begin(hospital, stay)) as f:
        await f.handled(await f.published(EncounterAdmitted, by="clinical", encounter_id=UUID(stay)).once(), by="facility")
        assigned = await f.published(BedAssigned, by="facility", encounter_id=UUID(stay)).once()
        assert str(assigned.event.bed_id) == bed
        await f.handled(assigned, by="clinical.follow_bed")
        await f.handled(await f.published(BedStatusChanged, status="occupied").once(), by="clinical.bed_reference")
        f.never(BedRequestWaiting)
    assert await lies_in(hospital, stay) == bed
    await hospital.discharges(stay)


async def test_who_finds_no_bed_waits_for_one_that_is_released(flow: Flow, hospital: Hospital) -> None:
    """Admission without a bed is told to the ward; discharge leaves the bed to be cleaned; then who waits has it."""
    floor = await furnish(hospital, 1, name="one after the other")
    [bed] = floor.beds
    first = await admit(hospital, await hospital.registers(), ward_id=floor.ward)
    second = await plan(hospital, await hospital.registers(), ward_id=floor.ward)
    async with flow.started_by(begin(hospital, second)) as f:
        waiting = await f.published(BedRequestWaiting, by="facility", encounter_id=UUID(second)).once()
        await f.handled(waiting, by="notification")
        f.never(BedAssigned)
    assert await lies_in(hospital, second) is None
    async with flow.started_by(hospital.discharges(first)) as f:
        await f.handled(await f.published(EncounterDischarged).once(), by="facility")
        released = await f.published(BedReleased, by="facility", encounter_id=UUID(first)).once()
        assert released.event.reason == "discharged"
        await f.handled(released, by="clinical")
        f.never(BedAssigned)
    assert (await lies_in(hospital, first), await state(hospital, bed)) == (None, "cleaning")
    async with flow.started_by(clean(hospital, bed)) as f:
        await f.handled(await f.published(BedAssigned, encounter_id=UUID(second)).once(), by="clinical")
    assert await lies_in(hospital, second) == bed
    await hospital.discharges(second)


async def test_a_transfer_is_shown_in_clinical(flow: Flow, hospital: Hospital) -> None:
    """The encounter shows the new bed, and clinical says that its patient was transferred."""
    floor = await furnish(hospital, 2, name="transfer")
    stay = await admit(hospital, await hospital.registers(), ward_id=floor.ward)
    bed = await lies_in(hospital, stay)
    [other] = {*floor.beds} - {bed}
    async with flow.started_by(hospital.ask("facility", "POST", f"/beds/{bed}/transfer", {"to_bed_id": other})) as f:
        assigned = await f.published(BedAssigned, bed_id=UUID(other)).once()
        assert str(assigned.event.transferred_from) == bed
        await f.handled(assigned, by="clinical")
        await f.published(EncounterTransferred, by="clinical", encounter_id=UUID(stay)).once()
    assert await lies_in(hospital, stay) == other
    await hospital.discharges(stay)


async def test_a_cancelled_encounter_frees_its_reservation(flow: Flow, hospital: Hospital) -> None:
    """Who waits has the bed at once: nobody lay in it."""
    floor = await furnish(hospital, 1, name="cancelled")
    person = await hospital.registers()
    planned = await plan(hospital, person)
    async with flow.started_by(reserve(hospital, floor.beds[0], person, planned)) as f:
        await f.published(BedReserved, by="facility").once()
        f.scheduled(BedReservationExpired, within=timedelta(hours=2))
    waiting = await admit(hospital, await hospital.registers(), ward_id=floor.ward)
    assert await lies_in(hospital, waiting) is None
    async with flow.started_by(hospital.ask("clinical", "POST", f"/encounters/{planned}/cancel", BECAUSE)) as f:
        await f.handled(await f.published(EncounterCancelled).once(), by=["facility", "billing", "lab"])
        await f.handled(await f.published(BedAssigned, encounter_id=UUID(waiting)).once(), by="clinical")
        f.never(BedReservationExpired)
    assert await lies_in(hospital, waiting) == floor.beds[0]
    await hospital.discharges(waiting)


async def test_who_comes_in_time_has_the_bed_that_was_kept(flow: Flow, hospital: Hospital) -> None:
    """And nothing ends afterwards: the reservation is used."""
    floor = await furnish(hospital, 2, name="kept")
    person = await hospital.registers()
    expected = await plan(hospital, person)
    async with flow.started_by(reserve(hospital, floor.beds[1], person, expected)) as f:
        await begin(hospital, expected)
        assigned = await f.published(BedAssigned, encounter_id=UUID(expected)).once()
        assert str(assigned.event.bed_id) == floor.beds[1]
        await flow.advance(hours=2)
        f.never(BedReservationExpired)
        f.never(BedReleased)
    assert await state(hospital, floor.beds[1]) == "occupied"
    await hospital.discharges(expected)


async def test_a_reservation_that_is_not_used_ends(flow: Flow, hospital: Hospital) -> None:
    """After two hours the bed is free again."""
    floor = await furnish(hospital, 1, name="not used")
    person = await hospital.registers()
    async with flow.started_by(reserve(hospital, floor.beds[0], person, await plan(hospital, person))) as f:
        await flow.advance(hours=2)
        await f.handled(await f.published(BedReservationExpired).once(), by="facility")
        await f.handled(await f.published(BedStatusChanged, status="available").once(), by="clinical")
    assert await state(hospital, floor.beds[0]) == "available"


async def test_what_facility_hears_late_leaves_no_bed_occupied(flow: Flow, hospital: Hospital) -> None:
    """Admission and discharge wait for the patient's reference, and then take effect in their order."""
    floor = await furnish(hospital, 1, name="late")
    [bed] = floor.beds
    person, asked = hospital.new_person()
    async with flow.started_by() as f:
        async with flow.late("facility.patient_reference"):
            patient_id = (await hospital.ask("clinical", "POST", "/patients", asked))["patient_id"]
            stay = await plan(hospital, Person(patient_id, person.name, person.number, person.born), ward_id=floor.ward)
            await begin(hospital, stay)
            await hospital.discharges(stay)
            admitted = await f.published(EncounterAdmitted, by="clinical").once()
            kept = await f.kept(admitted, by="facility.follow_stay", state="waiting")
            assert kept.waits_key == patient_id
            assert await state(hospital, bed) == "available"
        await f.replica(PatientReference, UUID(patient_id)).reaches()
        await f.handled(admitted, by="facility")
        released = await f.published(BedReleased, by="facility").once()
        await f.handled([await f.published(BedAssigned).once(), released], by="clinical")
    assert await lies_in(hospital, stay) is None
    assert await state(hospital, bed) == "cleaning"
    [stayed] = (await hospital.ask("facility", "GET", f"/beds/{bed}/stays")).items
    assert (stayed["encounter_id"], stayed["reason"]) == (stay, "discharged")
