"""Opening and changing facilities."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock
from contracts.facility import FacilityKind
from services.facility import rules
from services.facility.commands.giving import serve_waiting
from services.facility.tables import Bed, Facility


async def put_facility(
    session: AsyncSession, facility_id: UUID, *, name: str, kind: FacilityKind, time_zone: str, currency: str
) -> Facility:
    """Opens a facility, or changes what is said of it; whether it is active stays as it is. Raises TimeZoneIsUnknown."""
    rules.check_time_zone(time_zone)
    facility = await session.get(Facility, facility_id, with_for_update=True)
    if facility is None:
        facility = Facility(facility_id=facility_id, status="active", opened_at=clock.now())
        session.add(facility)
    facility.name, facility.kind = name, kind
    facility.time_zone, facility.currency = time_zone, currency
    return facility


async def deactivate_facility(session: AsyncSession, facility_id: UUID) -> Facility:
    """Nothing new begins here from now on. Raises FacilityHasPatients, FacilityCannotBecome, NotFound."""
    facility = await Facility.locked(session, facility_id)
    beds = await session.scalars(select(Bed.status).where(Bed.facility_id == facility_id))
    rules.check_facility_is_empty(beds)
    facility.become("inactive")
    return facility


async def activate_facility(session: AsyncSession, facility_id: UUID) -> Facility:
    """The facility works again; who waited for a bed meanwhile gets one. Raises FacilityCannotBecome, NotFound."""
    facility = await Facility.locked(session, facility_id)
    facility.become("active")
    await serve_waiting(session, facility)
    return facility
