"""Departments, wards and their beds over HTTP."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from broker import Idempotent, Page, PageRequest, Reading, Router, Transaction, visible
from services.facility import commands
from services.facility.api.seen import FacilityManager, Staff
from services.facility.tables import Bed, Department, Facility, Ward
from services.facility.views import AskedBed, AskedDepartment, AskedWard, BedView, DepartmentView, WardView

router = Router()


@router.post("/facilities/{facility_id}/departments", status_code=201)
async def create_department(
    facility_id: UUID, asked: AskedDepartment, session: Transaction, who: FacilityManager, key: Idempotent
) -> DepartmentView:
    """Adds a department."""
    await visible(session, who, Facility, facility_id)
    return DepartmentView.model_validate(await commands.create_department(session, facility_id, **dict(asked)))


@router.get("/facilities/{facility_id}/departments")
async def list_departments(facility_id: UUID, session: Reading, who: Staff, page: PageRequest) -> Page[DepartmentView]:
    """The facility's departments, by name."""
    await visible(session, who, Facility, facility_id)
    query = select(Department).where(Department.facility_id == facility_id)
    return await page.read(session, query, by=[Department.name], view=DepartmentView.model_validate)


@router.post("/departments/{department_id}/wards", status_code=201)
async def create_ward(
    department_id: UUID, asked: AskedWard, session: Transaction, who: FacilityManager, key: Idempotent
) -> WardView:
    """Adds a ward, which has no beds yet."""
    await visible(session, who, Department, department_id)
    return WardView.model_validate(await commands.create_ward(session, department_id, **dict(asked)))


@router.get("/facilities/{facility_id}/wards")
async def list_wards(facility_id: UUID, session: Reading, who: Staff, page: PageRequest) -> Page[WardView]:
    """The facility's wards, by name."""
    await visible(session, who, Facility, facility_id)
    query = select(Ward).where(Ward.facility_id == facility_id)
    return await page.read(session, query, by=[Ward.name], view=WardView.model_validate)


@router.get("/wards/{ward_id}")
async def get_ward(ward_id: UUID, session: Reading, who: Staff) -> WardView:
    """One ward."""
    return WardView.model_validate(await visible(session, who, Ward, ward_id))


@router.put("/wards/{ward_id}")
async def change_ward(ward_id: UUID, asked: AskedWard, session: Transaction, who: FacilityManager) -> WardView:
    """Changes what is said of a ward; whom it is for only while nobody lies in it or is expected."""
    await visible(session, who, Ward, ward_id)
    return WardView.model_validate(await commands.change_ward(session, ward_id, **dict(asked)))


@router.post("/wards/{ward_id}/beds", status_code=201)
async def create_bed(ward_id: UUID, asked: AskedBed, session: Transaction, who: FacilityManager, key: Idempotent) -> BedView:
    """Adds a bed; who waits for one gets it."""
    await visible(session, who, Ward, ward_id)
    return BedView.model_validate(await commands.create_bed(session, ward_id, **dict(asked)))


@router.get("/wards/{ward_id}/beds")
async def list_beds(ward_id: UUID, session: Reading, who: Staff, page: PageRequest) -> Page[BedView]:
    """The ward's beds, by label."""
    await visible(session, who, Ward, ward_id)
    query = select(Bed).where(Bed.ward_id == ward_id)
    return await page.read(session, query, by=[Bed.label], view=BedView.model_validate)
