"""Inpatients get a bed, or wait for one; what they leave goes to the next."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from uuid import uuid4

import pytest
from sqlalchemy import select

from broker import clock
from contracts.clinical import EncounterClass, PatientUnmerged
from contracts.facility import BedAssigned, BedReleased, BedRequestWaiting, WardFull
from services.facility import commands
from services.facility.tables import Bed, BedRequest
from tests.services.facility.house import House, Person


async def test_an_inpatient_gets_a_bed_and_leaves_it_to_be_cleaned(house: House) -> None:
    """Assigned at admission; cleaned after the discharge; both are said, with the bed and the encounter."""
    [bed_id] = await house.beds(1)
    person = await house.person()
    assert await house.admits(person) == bed_id
    assert await house.request(person) == "assigned"
    await house.discharges(person)
    assert await house.status(bed_id) == "cleaning"
    [assigned], [released] = await house.at.published(BedAssigned), await house.at.published(BedReleased)
    assert (assigned.bed_id, assigned.encounter_id, assigned.transferred_from) == (bed_id, person.encounter_id, None)
    assert (released.bed_id, released.patient_id, released.reason) == (bed_id, person.patient_id, "discharged")


async def test_who_finds_no_bed_waits_for_the_first_that_is_clean(house: House) -> None:
    """Waiting is said once; the bed goes to the next not when it is left but when it is clean."""
    [bed_id] = await house.beds(1)
    first, second, third = await house.comes(), await house.comes(), await house.comes()
    assert [event.encounter_id for event in await house.at.published(BedRequestWaiting)] == [
        second.encounter_id,
        third.encounter_id,
    ]
    await house.discharges(first)
    assert await house.bed_of(second) is None
    await house.cleans(bed_id)
    assert await house.bed_of(second) == bed_id
    assert (await house.request(second), await house.request(third)) == ("assigned", "waiting")


async def test_who_needs_isolation_is_served_first_unless_the_house_says_otherwise(house: House) -> None:
    """Then, and among the others, who has waited longest."""
    ward = await house.ward()
    early, isolated = await house.comes(), await house.comes(isolation=True)
    first = await house.bed(ward, "1", room="1")
    assert await house.bed_of(isolated) == first
    async with house.at.transaction() as session:
        await commands.set_setting(session, house.id, "isolation_goes_first", False)
    another = await house.comes(isolation=True)
    assert await house.bed(ward, "2", room="2") == await house.bed_of(early)
    assert await house.request(another) == "waiting"


async def test_a_named_ward_is_waited_for(house: House) -> None:
    """A free bed elsewhere is not taken; a ward of another facility counts as none named."""
    here, there = await house.ward("here"), await house.ward("there")
    bed_id = await house.bed(there)
    waiting = await house.comes(ward_id=here)
    assert await house.request(waiting) == "waiting"
    stranger = await House.open(house.at)
    person = await house.person()
    assert await house.admits(person, ward_id=await stranger.ward()) == bed_id


async def test_the_bed_is_fit_for_the_patient(house: House) -> None:
    """Not in a ward for another sex, and not in a room kept for isolation while another bed is free."""
    women, single = await house.ward("a women", sex="female"), await house.ward("b single")
    await house.bed(women)
    alone = await house.bed(single, "1", room="1")
    shared = [await house.bed(single, str(number), room="2") for number in (2, 3)]
    assert await house.bed_of(await house.comes("male")) in shared
    assert await house.bed_of(await house.comes("male", isolation=True)) == alone
    assert await house.bed_of(await house.comes("male")) in shared
    assert await house.bed_of(await house.comes("male")) is None


async def test_the_room_of_an_isolated_patient_is_free_for_others_when_they_leave(house: House) -> None:
    """In a ward that is equipped for it they lie alone in a room of two; the other bed then goes to who waits."""
    beds = await house.beds(2, isolation=True)
    isolated = await house.comes(isolation=True)
    waiting = await house.comes()
    assert await house.request(waiting) == "waiting"
    await house.discharges(isolated)
    assert await house.bed_of(waiting) in beds


async def test_what_is_said_twice_or_in_another_order_leaves_no_bed_occupied(house: House) -> None:
    """A discharge that comes before its admission closes the need; a repetition of either changes nothing."""
    [bed_id] = await house.beds(1)
    early = await house.person()
    await house.discharges(early)
    assert await house.admits(early) is None
    person = await house.comes()
    await house.admits(person)
    await house.discharges(person)
    await house.discharges(person)
    await house.admits(person)
    assert await house.status(bed_id) == "cleaning"
    assert len(await house.at.published(BedAssigned)) == len(await house.at.published(BedReleased)) == 1


async def test_an_encounter_that_is_no_stay_leaves_nothing_behind(house: House) -> None:
    """Only of who may still be heard to need a bed is it kept that they get none; a reservation ends with any encounter."""
    visitor, unclear, planned = await house.person(), await house.person(), await house.person()
    [bed_id] = await house.beds(1)
    await house.reserves(bed_id, planned)
    await house.discharges(visitor, encounter_class="ambulatory")
    await house.discharges(planned, encounter_class="emergency")
    await house.discharges(unclear, encounter_class=None)
    async with house.at.transaction() as session:
        kept = set(await session.scalars(select(BedRequest.encounter_id)))
    assert kept == {planned.encounter_id, unclear.encounter_id}
    assert await house.status(bed_id) == "available"


async def test_a_merge_of_who_needs_nothing_more_is_nothing_to_facility(house: House) -> None:
    """Also where their encounter was at a house that facility never heard of: no message is dead for it."""
    stranger, survivor = await house.person(), await house.person()
    unheard = replace(house, id=uuid4())
    await unheard.discharges(stranger)
    await house.at.arrive(unheard.merge(stranger, survivor))
    assert await house.at.kept() == []


async def test_a_cancelled_encounter_no_longer_waits_and_frees_what_was_kept_for_it(house: House) -> None:
    """Its reservation is free at once, for who waits."""
    [bed_id] = await house.beds(1)
    planned, waiting = await house.person(), await house.person()
    await house.reserves(bed_id, planned)
    await house.admits(waiting)
    await house.cancels(planned)
    assert await house.bed_of(waiting) == bed_id
    another = await house.comes()
    await house.cancels(another)
    assert await house.request(another) == "closed"
    assert [event.reason for event in await house.at.published(BedReleased)] == ["cancelled"]


@pytest.mark.parametrize("encounter_class", ["inpatient", "ambulatory"])
async def test_no_bed_is_kept_for_who_is_gone(house: House, encounter_class: EncounterClass) -> None:
    """An end that is heard while a bed is being kept for the encounter waits for that, and gives the bed up."""
    [bed_id] = await house.beds(1)
    person = await house.person()
    async with house.at.transaction() as session:
        await commands.reserve_bed(session, bed_id, encounter_id=person.encounter_id, patient_id=person.patient_id)
        ending = asyncio.create_task(house.discharges(person, encounter_class=encounter_class))
        await house.at.somebody_waits()
    await ending
    assert await house.status(bed_id) == "available"


async def test_an_end_at_a_house_that_was_never_heard_of_is_nothing_to_facility(house: House) -> None:
    """No message waits or is dead for it; the stay gets no bed there later either."""
    person = await house.person()
    elsewhere = replace(house, id=uuid4())
    await elsewhere.discharges(person)
    assert await house.request(person) == "closed"


async def test_a_patient_lies_in_one_bed(house: House) -> None:
    """A second stay that begins before the end of the first is heard of waits for it."""
    beds = await house.beds(2)
    person = await house.comes()
    again = Person(person.patient_id, (await house.person()).encounter_id)
    assert await house.admits(again) is None
    await house.discharges(person)
    assert await house.bed_of(again) in beds


async def test_who_died_leaves_the_bed_and_the_reservation(house: House) -> None:
    """And gets none any more, when the admission is heard of late."""
    beds = await house.beds(2)
    person = await house.comes()
    planned = Person(person.patient_id, (await house.person()).encounter_id)
    [kept] = {*beds} - {await house.bed_of(person)}
    await house.reserves(kept, planned)
    await house.known(person.patient_id, version=2, status="deceased")
    await house.at.deliver(house.death(person))
    assert sorted([await house.status(bed) for bed in beds]) == ["available", "cleaning"]
    assert {event.reason for event in await house.at.published(BedReleased)} == {"deceased"}
    assert await house.admits(planned) is None
    assert await house.request(planned) == "closed"


async def test_no_admission_slips_in_behind_a_death(house: House) -> None:
    """As long as somebody who died can be given a bed, the death is heard again."""
    [bed_id] = await house.beds(1)
    person = await house.person()
    await house.at.arrive(house.death(person))
    assert [state for state, _ in await house.at.kept()] == ["retrying"]
    assert await house.admits(person) == bed_id
    await house.known(person.patient_id, version=2, status="deceased")
    await house.at.retry()
    assert await house.at.kept() == []
    assert (await house.status(bed_id), await house.request(person)) == ("cleaning", "closed")


async def test_nobody_dies_while_they_are_admitted(house: House) -> None:
    """A death that is heard while an admission goes on waits for it, and frees the bed."""
    [bed_id] = await house.beds(1)
    person = await house.person()
    async with house.at.transaction() as session:
        admission = house.admission(person)
        await commands.request_bed(
            session, **admission.model_dump(exclude={"admitted_at", "recorded_for"}), at=admission.admitted_at
        )
        await house.known(person.patient_id, version=2, status="deceased")
        died = asyncio.create_task(house.at.deliver(house.death(person)))
        await house.at.somebody_waits()
    await died
    assert (await house.status(bed_id), await house.request(person)) == ("cleaning", "closed")


async def test_a_death_at_a_house_that_was_never_heard_of_is_nothing_to_facility(house: House) -> None:
    """Nobody has a bed there: no message waits or is dead for it."""
    unheard = replace(house, id=uuid4())
    await house.at.arrive(unheard.death(await house.person()))
    assert await house.at.kept() == []


async def test_who_is_merged_into_somebody_dead_needs_no_bed(house: House) -> None:
    """Though the death was heard before the merge."""
    [bed_id] = await house.beds(1)
    merged, survivor = await house.comes(), await house.person()
    await house.known(survivor.patient_id, version=2, status="deceased")
    await house.at.deliver(house.death(survivor))
    await house.known(merged.patient_id, version=2, status="merged", merged_into=survivor.patient_id)
    await house.at.deliver(house.merge(merged, survivor))
    assert (await house.status(bed_id), await house.request(merged)) == ("cleaning", "closed")
    assert [event.reason for event in await house.at.published(BedReleased)] == ["deceased"]


async def test_nobody_is_merged_while_they_are_admitted(house: House) -> None:
    """A merge that is heard while an admission goes on waits for it, and gives the bed to the one who lives on."""
    [bed_id] = await house.beds(1)
    merged, survivor = await house.person(), await house.person()
    async with house.at.transaction() as session:
        admission = house.admission(merged)
        await commands.request_bed(
            session, **admission.model_dump(exclude={"admitted_at", "recorded_for"}), at=admission.admitted_at
        )
        await house.known(merged.patient_id, version=2, status="merged", merged_into=survivor.patient_id)
        heard = asyncio.create_task(house.at.deliver(house.merge(merged, survivor)))
        await house.at.somebody_waits()
    await heard
    async with house.at.transaction() as session:
        assert (await Bed.seen(session, bed_id)).patient_id == survivor.patient_id


@pytest.mark.parametrize("both_lie", [False, True])
async def test_a_merge_gives_one_patients_bed_to_the_other(house: House, both_lie: bool) -> None:
    """Who then lay in two beds lies in the one that they came to last."""
    beds = await house.beds(2)
    survivor = await house.comes() if both_lie else await house.person()
    merged = await house.comes()
    await house.known(merged.patient_id, version=2, status="merged", merged_into=survivor.patient_id)
    await house.at.deliver(house.merge(merged, survivor))
    bed_id = await house.bed_of(merged)
    assert bed_id in beds
    [other] = {*beds} - {bed_id}
    assert await house.status(other) == ("cleaning" if both_lie else "available")
    await house.discharges(merged)
    assert {event.patient_id for event in await house.at.published(BedReleased)} == {survivor.patient_id}


async def test_an_unmerge_gives_the_bed_back(house: House) -> None:
    """To whom it was asked for: the survivor can be admitted, and the death of the one frees no bed of the other."""
    await house.beds(2)
    survivor, merged = await house.person(), await house.comes()
    ids = {"patient_id": merged.patient_id, "facility_id": house.id}
    await house.known(merged.patient_id, version=2, status="merged", merged_into=survivor.patient_id)
    await house.at.deliver(house.merge(merged, survivor))
    assert await house.admits(survivor) is None
    await house.known(merged.patient_id, version=3)
    await house.at.deliver(PatientUnmerged(**ids, from_patient_id=survivor.patient_id, unmerged_at=clock.now()))
    beds = await house.bed_of(merged), await house.bed_of(survivor)
    assert None not in beds
    await house.known(survivor.patient_id, version=2, status="deceased")
    await house.at.deliver(house.death(survivor))
    assert (await house.bed_of(merged), await house.bed_of(survivor)) == (beds[0], None)
    await house.discharges(merged)
    assert [event.patient_id for event in await house.at.published(BedReleased)] == [survivor.patient_id, merged.patient_id]


async def test_an_unmerge_gives_back_what_was_asked_for_while_the_two_were_one(house: House) -> None:
    """An admission names the survivor, and says whose encounter it is."""
    [bed_id] = await house.beds(1)
    survivor, merged = await house.person(), await house.person()
    await house.known(merged.patient_id, version=2, status="merged", merged_into=survivor.patient_id)
    await house.at.deliver(house.merge(merged, survivor))
    said = {"patient_id": survivor.patient_id, "recorded_for": merged.patient_id}
    await house.at.deliver(house.admission(merged).model_copy(update=said))
    [assigned] = await house.at.published(BedAssigned)
    assert (assigned.patient_id, assigned.bed_id) == (survivor.patient_id, bed_id)
    await house.known(merged.patient_id, version=3)
    ids = {"patient_id": merged.patient_id, "facility_id": house.id}
    await house.at.deliver(PatientUnmerged(**ids, from_patient_id=survivor.patient_id, unmerged_at=clock.now()))
    async with house.at.transaction() as session:
        assert (await Bed.seen(session, bed_id)).patient_id == merged.patient_id


async def test_a_full_ward_is_said_once(house: House) -> None:
    """When its last bed is taken, be it by a reservation; again only after one was free."""
    beds = await house.beds(2)
    first, last = await house.comes(), await house.person()
    bed_id = await house.bed_of(first)
    assert bed_id in beds
    [free] = {*beds} - {bed_id}
    await house.reserves(free, last)
    await house.admits(last)
    [full] = await house.at.published(WardFull)
    assert full.capacity == 10
    await house.discharges(first)
    await house.cleans(bed_id)
    await house.comes()
    assert len(await house.at.published(WardFull)) == 2
