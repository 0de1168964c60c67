"""Departments, wards and their beds."""

from __future__ import annotations

from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import touch
from services.facility import rules
from services.facility.commands.giving import note_fullness, serve_waiting
from services.facility.rules import WardSex
from services.facility.tables import Bed, Department, Facility, Ward


async def create_department(session: AsyncSession, facility_id: UUID, *, name: str) -> Department:
    """Adds a department to a facility. Raises FacilityIsNotActive, NotFound."""
    rules.check_active((await Facility.locked(session, facility_id)).status)
    department = Department(department_id=uuid4(), facility_id=facility_id, name=name)
    session.add(department)
    return department


async def create_ward(
    session: AsyncSession, department_id: UUID, *, name: str, capacity: int, sex: WardSex, isolation: bool
) -> Ward:
    """Adds a ward to a department; it has no beds yet. Raises FacilityIsNotActive, NotFound."""
    department = await Department.seen(session, department_id)
    rules.check_active((await Facility.locked(session, department.facility_id)).status)
    ward = Ward(
        ward_id=uuid4(),
        facility_id=department.facility_id,
        department_id=department_id,
        name=name,
        capacity=capacity,
        sex=sex,
        isolation=isolation,
    )
    session.add(ward)
    return ward


async def change_ward(session: AsyncSession, ward_id: UUID, *, name: str, capacity: int, sex: WardSex, isolation: bool) -> Ward:
    """Changes what is said of a ward. Raises WardIsAtCapacity, WardIsInUse, NotFound."""
    facility = await Facility.locked(session, (await Ward.seen(session, ward_id)).facility_id)
    ward = await Ward.locked(session, ward_id)
    beds = await Bed.all_of(session, Bed.ward_id == ward_id)
    statuses = [bed.status for bed in beds]
    rules.check_capacity(rules.in_service(statuses), capacity)
    if (sex, isolation) != (ward.sex, ward.isolation):
        rules.check_ward_is_empty(statuses)
    ward.name, ward.capacity, ward.sex, ward.isolation = name, capacity, sex, isolation
    for bed in beds:
        touch(bed)
    await serve_waiting(session, facility)
    return ward


async def create_bed(session: AsyncSession, ward_id: UUID, *, room: str, label: str) -> Bed:
    """Adds a bed to a ward; who waits for one gets it. Raises WardIsAtCapacity, FacilityIsNotActive, NotFound."""
    facility = await Facility.locked(session, (await Ward.seen(session, ward_id)).facility_id)
    rules.check_active(facility.status)
    ward = await Ward.locked(session, ward_id)
    statuses = (await session.scalars(select(Bed.status).where(Bed.ward_id == ward_id))).all()
    rules.check_capacity(rules.in_service(statuses) + 1, ward.capacity)
    bed = Bed(
        bed_id=uuid4(), facility_id=ward.facility_id, ward=ward, room=room, label=label, status="available", isolation=False
    )
    session.add(bed)
    await note_fullness(session, ward)
    await serve_waiting(session, facility)
    return bed
