"""Facility over HTTP. A token sees its facilities; any other does not exist for it."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from sqlalchemy import select

from broker import Page, PageRequest, Principal, Reading, Router, Transaction, allow
from services.facility import commands
from services.facility.tables import Facility
from services.facility.views import AskedFacility, FacilityView

FacilityManager = Annotated[Principal, allow("facility_manager")]
Staff = Annotated[Principal, allow("facility_manager", "bed_manager", "clinician", "nurse", "registrar")]

router = Router(tags=["facility"])


@router.put("/facilities/{facility_id}")
async def put_facility(facility_id: UUID, asked: AskedFacility, session: Transaction, who: FacilityManager) -> FacilityView:
    """Opens a facility under an id of the client's choice, or changes what is said of it."""
    who.at(facility_id)
    return FacilityView.model_validate(await commands.put_facility(session, facility_id, **dict(asked)))


@router.get("/facilities")
async def list_facilities(session: Reading, who: Staff, page: PageRequest) -> Page[FacilityView]:
    """The token's facilities, by name."""
    query = select(Facility).where(who.within(Facility.facility_id))
    by = [Facility.name, Facility.facility_id]
    return await page.read(session, query, by=by, view=FacilityView.model_validate)


@router.get("/facilities/{facility_id}")
async def get_facility(facility_id: UUID, session: Reading, who: Staff) -> FacilityView:
    """One facility."""
    return FacilityView.model_validate(await Facility.seen(session, who.at(facility_id)))
