"""Beds that are reserved, assigned, exchanged and taken out of service."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy.exc import IntegrityError

from broker import NotFound, RuleBroken, clock
from broker._schedule import Scheduler
from contracts.facility import BedAssigned, BedReleased, BedReservationExpired, BedReserved, BedStatusChanged
from services.facility import commands
from services.facility.errors import (
    BedCannotBecome,
    BedIsInAnotherFacility,
    BedIsKeptForSomebodyElse,
    BedRequestCannotBecome,
    EncounterHasABed,
    EncounterHasBegun,
    FacilityIsNotActive,
    IsolatedPatientLiesAlone,
    NobodyLiesBesideAnIsolatedPatient,
    PatientHasABed,
    PatientIsNotActive,
    PatientIsOfAnotherFacility,
    WardIsAtCapacity,
    WardIsForAnotherSex,
)
from services.facility.tables import Bed
from tests.services.facility.house import House, Person


async def refused(house: House, rule: type[RuleBroken], bed_id: UUID, person: Person, *, isolation: bool = False) -> None:
    """Reserving the bed breaks this rule, and changes nothing."""
    before = await house.status(bed_id)
    with pytest.raises(rule):
        await house.reserves(bed_id, person, isolation=isolation)
    assert await house.status(bed_id) == before


async def test_a_reserved_bed_is_for_the_encounter_that_it_was_reserved_for(house: House) -> None:
    """Others wait although it is empty; the planned stay gets it, also when the admission names another ward."""
    [bed_id] = await house.beds(1)
    planned = await house.person()
    await house.reserves(bed_id, planned)
    [kept] = await house.at.published(BedReserved)
    assert (kept.encounter_id, kept.reserved_until - clock.now() > timedelta(minutes=119)) == (planned.encounter_id, True)
    other = await house.comes()
    assert await house.bed_of(other) is None
    with pytest.raises(BedIsKeptForSomebodyElse):
        async with house.at.transaction() as session:
            await commands.assign_bed(session, bed_id, encounter_id=other.encounter_id)
    assert await house.admits(planned, ward_id=await house.ward("another")) == bed_id


async def test_a_reservation_that_is_no_longer_fit_is_given_up(house: House) -> None:
    """Who turns out to need isolation gets a single room, and the bed that was kept is free."""
    ward = await house.ward()
    shared = [await house.bed(ward, str(number), room="1") for number in (1, 2)]
    single = await house.bed(ward, "3", room="2")
    person = await house.person()
    await house.reserves(shared[0], person)
    assert await house.admits(person, isolation=True) == single
    assert await house.status(shared[0]) == "available"


async def test_a_reservation_ends_when_its_time_is_over(house: House) -> None:
    """As long as the setting says; then the bed goes to who waits. If somebody came in time, nothing happens."""
    async with house.at.transaction() as session:
        await commands.set_setting(session, house.id, "bed_reservation_minutes", 30)
    [bed_id] = await house.beds(1)
    planned, waiting = await house.person(), await house.person()
    await house.reserves(bed_id, planned)
    await house.admits(waiting)
    expired = BedReservationExpired(bed_id=bed_id, encounter_id=planned.encounter_id)
    await house.at.deliver(expired)
    assert await house.status(bed_id) == "reserved"
    clock.shift += timedelta(minutes=29)
    await Scheduler(house.at.database).run_once()
    assert await house.at.published(BedReservationExpired) == []
    clock.shift += timedelta(minutes=1)
    await Scheduler(house.at.database).run_once()
    assert await house.at.published(BedReservationExpired) == [expired]
    await house.at.deliver(expired)
    assert [event.reason for event in await house.at.published(BedReleased)] == ["reservation_expired"]
    assert await house.bed_of(waiting) == bed_id


async def test_the_end_of_one_reservation_is_not_that_of_the_next(house: House) -> None:
    """What is heard late of a reservation that was cancelled changes nothing of who the bed is kept for now."""
    [bed_id] = await house.beds(1)
    first, second = await house.person(), await house.person()
    await house.reserves(bed_id, first)
    async with house.at.transaction() as session:
        await commands.cancel_reservation(session, bed_id)
    await house.reserves(bed_id, second)
    clock.shift += timedelta(days=1)
    await house.at.deliver(BedReservationExpired(bed_id=bed_id, encounter_id=first.encounter_id))
    assert await house.status(bed_id) == "reserved"


async def test_nothing_is_scheduled_for_who_came_in_time(house: House) -> None:
    """The end of the reservation is taken back when the bed is occupied or the reservation cancelled."""
    beds = await house.beds(2)
    comes, does_not = await house.person(), await house.person()
    await house.reserves(beds[0], comes)
    await house.admits(comes)
    await house.reserves(beds[1], does_not)
    async with house.at.transaction() as session:
        await commands.cancel_reservation(session, beds[1])
    clock.shift += timedelta(days=1)
    await Scheduler(house.at.database).run_once()
    assert await house.at.published(BedReservationExpired) == []
    assert await house.status(beds[1]) == "available"
    with pytest.raises(BedCannotBecome, match="state=occupied"):
        async with house.at.transaction() as session:
            await commands.cancel_reservation(session, beds[0])


async def test_whom_a_bed_is_not_reserved_for(house: House) -> None:
    """Each rule by its name: sex, isolation, another bed, a stay that began, another facility, no longer a patient."""
    women = await house.ward("women", sex="female")
    first, second = [await house.bed(women, label) for label in ("1", "2")]
    await refused(house, WardIsForAnotherSex, first, await house.person("male"))
    await refused(house, IsolatedPatientLiesAlone, first, await house.person(), isolation=True)
    await refused(house, PatientIsNotActive, first, await house.person(status="inactive"))
    await refused(house, PatientIsOfAnotherFacility, first, await (await House.open(house.at)).person())
    person = await house.person()
    await house.reserves(first, person)
    await refused(house, EncounterHasABed, second, person)
    await refused(house, BedCannotBecome, first, await house.person())
    await refused(house, EncounterHasBegun, second, await house.comes())


async def test_nobody_is_put_beside_an_isolated_patient(house: House) -> None:
    """Nor is an isolated patient put beside somebody."""
    beds = await house.beds(2, isolation=True)
    await house.reserves(beds[0], await house.person(), isolation=True)
    await refused(house, NobodyLiesBesideAnIsolatedPatient, beds[1], await house.person())
    await refused(house, IsolatedPatientLiesAlone, beds[1], await house.person(), isolation=True)


async def test_a_bed_manager_gives_a_certain_bed_to_who_waits(house: House) -> None:
    """Only to who waits, and only to a patient who lies nowhere else."""
    here, there = await house.ward("here"), await house.ward("there")
    person = await house.comes(ward_id=here)
    bed_id, other = await house.bed(there), await house.bed(there, "2")
    async with house.at.transaction() as session:
        await commands.assign_bed(session, bed_id, encounter_id=person.encounter_id)
    assert await house.bed_of(person) == bed_id
    again = Person(person.patient_id, (await house.person()).encounter_id)
    await house.admits(again)
    for who, rule in ((person, BedRequestCannotBecome), (again, PatientHasABed), (await house.person(), NotFound)):
        with pytest.raises(rule):
            async with house.at.transaction() as session:
                await commands.assign_bed(session, other, encounter_id=who.encounter_id)


async def test_a_transfer_leaves_one_bed_to_be_cleaned_and_takes_another(house: House) -> None:
    """Said as released and assigned, with the bed that was left; the stay's history shows both."""
    first, second = await house.beds(2)
    person = await house.comes()
    bed_id = await house.bed_of(person)
    assert bed_id is not None
    to = second if bed_id == first else first
    await house.transfers(bed_id, to)
    assert (await house.bed_of(person), await house.status(bed_id)) == (to, "cleaning")
    assigned = (await house.at.published(BedAssigned))[-1]
    assert (assigned.bed_id, assigned.transferred_from) == (to, bed_id)
    assert [event.reason for event in await house.at.published(BedReleased)] == ["transferred"]


async def test_a_transfer_frees_the_room_of_an_isolated_patient(house: House) -> None:
    """Who waited for the bed beside them has it at once."""
    shared = await house.beds(2, isolation=True)
    isolated, waiting = await house.comes("male", isolation=True), await house.comes("female")
    single = await house.bed(await house.ward("men", sex="male"))
    left = await house.bed_of(isolated)
    assert (left in shared, await house.bed_of(waiting)) == (True, None)
    await house.transfers(left or single, single)
    assert {await house.bed_of(waiting)} == {*shared} - {left}


async def test_a_transfer_happens_whole_or_not_at_all(house: House) -> None:
    """To a bed that is taken, kept for another, unfit or elsewhere: refused by name, and the patient lies where they lay."""
    mixed, women = await house.ward("mixed"), await house.ward("women", sex="female")
    here, kept, taken = [await house.bed(mixed, label) for label in ("1", "2", "3")]
    for_women = await house.bed(women)
    stranger = await House.open(house.at)
    elsewhere = (await stranger.beds(1))[0]
    man = await house.person("male")
    await house.reserves(kept, await house.person())
    assert await house.admits(man) == here
    assert await house.bed_of(await house.comes("male")) == taken
    for to, rule in (
        (taken, BedCannotBecome),
        (kept, BedIsKeptForSomebodyElse),
        (for_women, WardIsForAnotherSex),
        (elsewhere, BedIsInAnotherFacility),
        (here, BedCannotBecome),
    ):
        with pytest.raises(rule):
            await house.transfers(here, to)
    with pytest.raises(BedCannotBecome, match="state=available"):
        await house.transfers(for_women, here)
    assert await house.bed_of(man) == here
    assert await house.at.published(BedReleased) == []


async def test_out_of_service_and_back(house: House) -> None:
    """A blocked or broken bed is given to nobody, comes back as what it was, and then goes to who waits."""
    [bed_id] = await house.beds(1)
    async with house.at.transaction() as session:
        await commands.take_out_of_service(session, bed_id, to="blocked")
    waiting = await house.comes()
    with pytest.raises(BedCannotBecome, match="state=blocked"):
        async with house.at.transaction() as session:
            await commands.put_into_service(session, bed_id, out_of="cleaning")
    async with house.at.transaction() as session:
        await commands.put_into_service(session, bed_id, out_of="blocked")
    assert await house.bed_of(waiting) == bed_id
    with pytest.raises(BedCannotBecome, match="state=occupied, asked=blocked"):
        async with house.at.transaction() as session:
            await commands.take_out_of_service(session, bed_id, to="blocked")


async def test_a_bed_comes_back_only_into_a_ward_that_can_nurse_it(house: House) -> None:
    """While it was out of service another one took its place."""
    ward = await house.ward(capacity=1)
    bed_id = await house.bed(ward)
    async with house.at.transaction() as session:
        await commands.take_out_of_service(session, bed_id, to="maintenance")
    await house.bed(ward, "2")
    with pytest.raises(WardIsAtCapacity):
        async with house.at.transaction() as session:
            await commands.put_into_service(session, bed_id, out_of="maintenance")
    assert await house.status(bed_id) == "maintenance"


async def test_a_released_bed_is_cleaned(house: House) -> None:
    """A bed that nobody lies in cannot be released."""
    first, second = await house.beds(2)
    person = await house.comes()
    bed_id = await house.bed_of(person)
    async with house.at.transaction() as session:
        await commands.release_bed(session, bed_id or first, reason="transferred")
    assert (await house.status(bed_id or first), await house.request(person)) == ("cleaning", "closed")
    with pytest.raises(BedCannotBecome):
        async with house.at.transaction() as session:
            await commands.release_bed(session, second, reason="discharged")


async def test_at_an_inactive_facility_no_bed_is_given_out(house: House) -> None:
    """Reserving and assigning are refused; who is admitted all the same waits until it is active again."""
    [bed_id] = await house.beds(1)
    async with house.at.transaction() as session:
        await commands.deactivate_facility(session, house.id)
    await refused(house, FacilityIsNotActive, bed_id, await house.person())
    person = await house.comes()
    with pytest.raises(FacilityIsNotActive):
        async with house.at.transaction() as session:
            await commands.assign_bed(session, bed_id, encounter_id=person.encounter_id)
    async with house.at.transaction() as session:
        await commands.activate_facility(session, house.id)
    assert await house.bed_of(person) == bed_id


async def test_every_state_of_a_bed_is_told(house: House) -> None:
    """With whom it is for, and what its ward is called, in the order in which it happened."""
    [bed_id] = await house.beds(1, name="Ward 7")
    person = await house.person()
    await house.reserves(bed_id, person)
    await house.admits(person)
    await house.discharges(person)
    await house.cleans(bed_id)
    told = await house.at.published(BedStatusChanged)
    told.sort(key=lambda state: state.state_version)
    assert [state.status for state in told] == ["available", "reserved", "occupied", "cleaning", "available"]
    assert {state.ward_name for state in told} == {"Ward 7"}
    assert [state.encounter_id for state in told] == [None, person.encounter_id, person.encounter_id, None, None]


async def test_two_encounters_race_for_the_last_bed(house: House) -> None:
    """Exactly one gets it, the other waits; whichever was first, nobody is lost."""
    await house.beds(1)
    people = [await house.person() for _ in range(4)]
    await asyncio.gather(*(house.at.deliver(house.admission(person)) for person in people))
    assert sorted([await house.request(person) for person in people]) == ["assigned", "waiting", "waiting", "waiting"]
    assert len(await house.at.published(BedAssigned)) == 1


async def test_two_reservations_race_for_one_room(house: House) -> None:
    """Of somebody who must lie alone and somebody else: the second waits for the first and is refused."""
    beds = await house.beds(2, isolation=True)
    isolated, other = await house.person(), await house.person()
    async with house.at.transaction() as session:
        await commands.reserve_bed(
            session, beds[0], encounter_id=isolated.encounter_id, patient_id=isolated.patient_id, isolation=True
        )
        second = asyncio.create_task(house.reserves(beds[1], other))
        await house.at.somebody_waits()
    with pytest.raises(NobodyLiesBesideAnIsolatedPatient):
        await second


async def test_two_transfers_that_swap_do_not_wait_for_each_other(house: House) -> None:
    """Both are refused, as both beds are taken; neither hangs."""
    first, second = await house.beds(2)
    people = [await house.comes(), await house.comes()]
    before = [await house.bed_of(person) for person in people]
    tried = [house.transfers(first, second), house.transfers(second, first)] * 3
    outcomes = await asyncio.gather(*tried, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {BedCannotBecome}
    assert [await house.bed_of(person) for person in people] == before


async def test_the_database_itself_lets_nobody_lie_in_two_beds(house: House) -> None:
    """Nor two encounters have one, whatever the code above it does."""
    beds = await house.beds(2)
    person = await house.comes()
    [free] = {*beds} - {await house.bed_of(person)}
    for encounter_id in (person.encounter_id, (await house.person()).encounter_id):
        with pytest.raises(IntegrityError):
            async with house.at.transaction() as session:
                bed = await Bed.locked(session, free)
                bed.keep_for(encounter_id, person.patient_id, isolation=False)
                bed.become("occupied")
                await session.flush()
