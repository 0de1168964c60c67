"""Stays, as clinical tells of them: an encounter that begins needs a bed, one that ends leaves it."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock, publish
from contracts.facility import BedRequestWaiting, ReleaseReason
from services.facility.commands.giving import serve_waiting, take_back
from services.facility.replicas import PatientReference
from services.facility.tables import Bed, BedRequest, Facility, Ward


async def request_bed(
    session: AsyncSession,
    *,
    encounter_id: UUID,
    patient_id: UUID,
    facility_id: UUID,
    ward_id: UUID | None,
    isolation: bool,
    at: datetime,
) -> BedRequest:
    """Gives an inpatient the bed that is fit, or lets them wait for the first that will be.

    A ward that is not one of the facility's counts as none. What was asked before, or is over already, gets nothing more.
    Raises NotYet, NotFound.
    """
    facility = await Facility.locked(session, facility_id)
    known = await session.get(BedRequest, encounter_id)
    if known is not None:
        return known
    patient = await PatientReference.current(session, patient_id)
    ward = await session.get(Ward, ward_id) if ward_id else None
    request = BedRequest(
        encounter_id=encounter_id,
        patient_id=patient.id,
        recorded_for=patient_id,
        facility_id=facility_id,
        ward_id=ward.ward_id if ward is not None and ward.facility_id == facility_id else None,
        isolation=isolation,
        status="closed" if patient.status == "deceased" else "waiting",
        requested_at=at,
    )
    session.add(request)
    await serve_waiting(session, facility)
    if request.status == "waiting":
        publish(session, BedRequestWaiting.of(request, waiting_since=at))
    return request


async def end_stay(
    session: AsyncSession,
    *,
    encounter_id: UUID,
    patient_id: UUID,
    facility_id: UUID,
    reason: ReleaseReason,
    is_stay: bool = True,
) -> None:
    """An encounter is over: it no longer waits, and what it had or was kept for it goes to the next.

    is_stay: whether it can still be heard of it that it began and needs a bed; if so, it is noted that it gets none.
    """
    facility = await Facility.in_hand(session, facility_id)
    request = await session.get(BedRequest, encounter_id, populate_existing=True)
    had_beds = await session.scalar(select(Bed.bed_id).where(Bed.encounter_id == encounter_id).limit(1))
    if request is None and had_beds is None and not is_stay:
        return
    if request is None:
        request = BedRequest(
            encounter_id=encounter_id,
            patient_id=patient_id,
            recorded_for=patient_id,
            facility_id=facility_id,
            isolation=False,
            status="closed",
            requested_at=clock.now(),
        )
        session.add(request)
    if facility is None or (had_beds is None and request.status == "closed"):
        return
    await close(session, request, reason)
    await serve_waiting(session, facility)


async def close(session: AsyncSession, request: BedRequest, reason: ReleaseReason) -> None:
    """An encounter needs no bed any more."""
    if request.status != "closed":
        request.become("closed")
    for bed in await Bed.all_of(session, Bed.encounter_id == request.encounter_id):
        await take_back(session, bed, reason)
