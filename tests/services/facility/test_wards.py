"""Facilities, their wards, and how they want things."""

from __future__ import annotations

import asyncio
from datetime import time
from typing import Any
from uuid import UUID, uuid4

import pytest

from broker import NotFound, clock
from contracts.facility import BedStatusChanged, FacilityChanged
from services.facility import commands
from services.facility.errors import (
    FacilityCannotBecome,
    FacilityHasPatients,
    FacilityIsNotActive,
    SettingHasAnotherType,
    SettingIsUnknown,
    TimeZoneIsUnknown,
    VisitingHoursEndBeforeTheyBegin,
    WardIsAtCapacity,
    WardIsInUse,
)
from services.facility.settings import BED_RESERVATION_MINUTES, SETTINGS, VISITING_FROM
from tests.services.facility.house import House
from tests.services.kit import Workplace

CLINIC: dict[str, Any] = {"name": "B", "kind": "clinic", "time_zone": "Africa/Khartoum", "currency": "SDG"}


async def changed(house: House, ward_id: UUID, **said: Any) -> None:
    """The ward is said to be this."""
    asked = {"name": "W", "capacity": 10, "sex": "mixed", "isolation": False, **said}
    async with house.at.transaction() as session:
        await commands.change_ward(session, ward_id, **asked)


async def deactivated(house: House) -> None:
    """Nothing new begins there."""
    async with house.at.transaction() as session:
        await commands.deactivate_facility(session, house.id)


async def sets(house: House, name: str, value: object) -> None:
    """The house wants something so."""
    async with house.at.transaction() as session:
        await commands.set_setting(session, house.id, name, value)


async def test_a_facility_is_opened_and_changed_by_the_same_command(facility: Workplace) -> None:
    """It tells its state each time; changing it does not make it active again."""
    facility_id = uuid4()
    async with facility.transaction() as session:
        await commands.put_facility(session, facility_id, **CLINIC)
    async with facility.transaction() as session:
        await commands.deactivate_facility(session, facility_id)
    async with facility.transaction() as session:
        await commands.put_facility(session, facility_id, **CLINIC | {"name": "C"})
    told = await facility.published(FacilityChanged)
    assert [(state.name, state.status) for state in told] == [("B", "active"), ("B", "inactive"), ("C", "inactive")]
    assert (told[0].time_zone, told[0].currency, told[0].kind) == ("Africa/Khartoum", "SDG", "clinic")


@pytest.mark.parametrize("name", ["Africa/Atlantis", "UTC+2", "../etc/passwd", ""])
async def test_a_time_zone_is_one_of_iana_s(facility: Workplace, name: str) -> None:
    """Any other is refused by name, and no facility is opened."""
    with pytest.raises(TimeZoneIsUnknown):
        async with facility.transaction() as session:
            await commands.put_facility(session, uuid4(), **CLINIC | {"time_zone": name})
    assert await facility.published(FacilityChanged) == []


@pytest.mark.parametrize("how", ["occupied", "reserved"])
async def test_a_facility_is_not_deactivated_while_a_bed_is_taken(house: House, how: str) -> None:
    """Occupied or reserved; when the last one left, it can be."""
    [bed_id] = await house.beds(1)
    person = await house.person()
    await (house.reserves(bed_id, person) if how == "reserved" else house.admits(person))
    with pytest.raises(FacilityHasPatients):
        await deactivated(house)
    await house.discharges(person)
    await deactivated(house)
    with pytest.raises(FacilityCannotBecome, match="state=inactive"):
        await deactivated(house)


async def test_a_deactivation_waits_for_an_admission_under_way(house: House) -> None:
    """And is refused when the bed was taken: nobody lies in a facility that is not active."""
    await house.beds(1)
    person = await house.person()
    async with house.at.transaction() as session:
        given = house.admission(person).model_dump(exclude={"admitted_at", "recorded_for"})
        await commands.request_bed(session, **given, at=clock.now())
        deactivation = asyncio.create_task(deactivated(house))
        await house.at.somebody_waits()
    with pytest.raises(FacilityHasPatients):
        await deactivation


async def test_nothing_is_added_to_an_inactive_facility(house: House) -> None:
    """No department, no ward, no bed."""
    ward_id = await house.ward()
    await deactivated(house)
    with pytest.raises(FacilityIsNotActive):
        await house.ward("another")
    with pytest.raises(FacilityIsNotActive):
        await house.bed(ward_id)
    with pytest.raises(FacilityIsNotActive):
        async with house.at.transaction() as session:
            await commands.create_department(session, house.id, name="another")


async def test_a_ward_has_no_more_beds_in_service_than_it_can_nurse(house: House) -> None:
    """A bed more is refused, and so is a capacity that is less than its beds; a bed out of service does not count."""
    ward_id = await house.ward(capacity=2)
    first, _ = await house.bed(ward_id, "1"), await house.bed(ward_id, "2")
    with pytest.raises(WardIsAtCapacity, match="beds=3, capacity=2"):
        await house.bed(ward_id, "3")
    with pytest.raises(WardIsAtCapacity):
        await changed(house, ward_id, capacity=1)
    async with house.at.transaction() as session:
        await commands.take_out_of_service(session, first, to="maintenance")
    await changed(house, ward_id, capacity=1)


async def test_whom_a_ward_is_for_does_not_change_over_a_patient_s_head(house: House) -> None:
    """Its name may; when it is empty again, all of it. A new name is told of each of its beds."""
    ward_id = await house.ward(sex="female")
    bed_id = await house.bed(ward_id)
    person = await house.comes()
    with pytest.raises(WardIsInUse):
        await changed(house, ward_id, sex="male")
    with pytest.raises(WardIsInUse):
        await changed(house, ward_id, sex="female", isolation=True)
    await changed(house, ward_id, sex="female", name="Ward 9")
    assert {state.ward_name for state in await house.at.published(BedStatusChanged) if state.bed_id == bed_id} == {
        "W",
        "Ward 9",
    }
    await house.discharges(person)
    await changed(house, ward_id, sex="male")


async def test_a_setting_has_its_default_until_it_is_set(house: House) -> None:
    """It is read with its own type; each house has its own."""
    other = await House.open(house.at)
    async with house.at.transaction() as session:
        assert await commands.setting_of(session, house.id, BED_RESERVATION_MINUTES) == 120
        await commands.set_setting(session, house.id, "bed_reservation_minutes", 45)
        await commands.set_setting(session, house.id, "visiting_from", "09:30")
        await commands.set_setting(session, house.id, "visiting_from", "10:30")
    async with house.at.transaction() as session:
        assert await commands.setting_of(session, house.id, BED_RESERVATION_MINUTES) == 45
        assert await commands.setting_of(session, house.id, VISITING_FROM) == time(10, 30)
        assert await commands.setting_of(session, other.id, VISITING_FROM) == time(14)
        kept = await commands.settings_of(session, house.id)
    assert kept.keys() == SETTINGS.keys()
    assert (kept["bed_reservation_minutes"], kept["visiting_from"], kept["visiting_to"]) == (45, "10:30:00", "19:00:00")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bed_reservation_minutes", "45"),
        ("bed_reservation_minutes", True),
        ("bed_reservation_minutes", 0),
        ("bed_reservation_minutes", 4.5),
        ("isolation_goes_first", 1),
        ("isolation_goes_first", "true"),
        ("visiting_from", 900),
        ("visiting_from", "25:00"),
        ("visiting_from", "10:00Z"),
        ("visiting_to", None),
    ],
)
async def test_a_setting_of_another_type_is_refused_by_name(house: House, name: str, value: object) -> None:
    """The refusal names the setting and quotes nothing; what was set before stays."""
    with pytest.raises(SettingHasAnotherType, match=f"setting={name}"):
        async with house.at.transaction() as session:
            await commands.set_setting(session, house.id, name, value)
    async with house.at.transaction() as session:
        kept = await commands.settings_of(session, house.id)
    assert kept[name] == SETTINGS[name].shown(SETTINGS[name].default)


@pytest.mark.parametrize(("name", "value"), [("visiting_from", "19:01"), ("visiting_to", "13:59")])
async def test_visiting_hours_do_not_end_before_they_begin(house: House, name: str, value: str) -> None:
    """Nor beside the default of the other; a house that lets nobody in begins and ends them at once."""
    with pytest.raises(VisitingHoursEndBeforeTheyBegin):
        await sets(house, name, value)
    await sets(house, "visiting_from", "19:00")
    async with house.at.transaction() as session:
        kept = await commands.settings_of(session, house.id)
    assert (kept["visiting_from"], kept["visiting_to"]) == ("19:00:00", "19:00:00")


async def test_visiting_hours_that_two_set_at_once_are_judged_together(house: House) -> None:
    """Each is right beside what was said before; the second waits for the first and is refused."""
    async with house.at.transaction() as session:
        await commands.set_setting(session, house.id, "visiting_from", "18:00")
        second = asyncio.create_task(sets(house, "visiting_to", "15:00"))
        await house.at.somebody_waits()
    with pytest.raises(VisitingHoursEndBeforeTheyBegin):
        await second


async def test_a_setting_that_is_not_declared_is_refused(house: House) -> None:
    """As is one of a facility that does not exist."""
    for facility_id, name, rule in ((house.id, "nothing", SettingIsUnknown), (uuid4(), "visiting_to", NotFound)):
        with pytest.raises(rule):
            async with house.at.transaction() as session:
                await commands.set_setting(session, facility_id, name, "10:00")
