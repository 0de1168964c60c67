"""Giving beds to encounters and taking them back. Whoever calls this has locked the facility."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock, publish, unschedule
from contracts.facility import BedAssigned, BedReleased, ReleaseReason, WardFull
from services.facility import rules
from services.facility.commands.settings import setting_of
from services.facility.replicas import PatientReference
from services.facility.settings import ISOLATION_GOES_FIRST
from services.facility.tables import Bed, BedRequest, BedStay, Facility, Ward


def reservation_of(bed_id: UUID) -> str:
    """The name that the end of a bed's reservation is scheduled under."""
    return f"reservation of bed {bed_id}"


async def occupy(session: AsyncSession, bed: Bed, request: BedRequest, *, transferred_from: UUID | None = None) -> None:
    """Puts the patient of an encounter into a bed that is free, or kept for it. Raises BedCannotBecome."""
    await _give_up_other_reservation(session, bed, request.encounter_id)
    if bed.encounter_id != request.encounter_id:
        bed.keep_for(request.encounter_id, request.patient_id, isolation=request.isolation)
    bed.become("occupied")
    bed.patient_id, bed.isolation, bed.reserved_until = request.patient_id, request.isolation, None
    now = clock.now()
    session.add(
        BedStay(
            bed_id=bed.bed_id,
            facility_id=bed.facility_id,
            encounter_id=request.encounter_id,
            patient_id=request.patient_id,
            began_at=now,
        )
    )
    publish(session, BedAssigned.of(bed, transferred_from=transferred_from, assigned_at=now))
    await unschedule(session, reservation_of(bed.bed_id))
    await note_fullness(session, bed.ward)


async def take_back(session: AsyncSession, bed: Bed, reason: ReleaseReason) -> None:
    """Nobody has the bed any more: where somebody lay it is cleaned, else it is free. Raises BedCannotBecome."""
    encounter_id, patient_id = bed.encounter_id, bed.patient_id
    if bed.status == "reserved":
        bed.give_up("available")
        await unschedule(session, reservation_of(bed.bed_id))
    else:
        bed.give_up("cleaning")
        stay = await BedStay.open_in(session, bed.bed_id)
        stay.ended_at, stay.reason = clock.now(), reason
    released = BedReleased.of(bed, encounter_id=encounter_id, patient_id=patient_id, reason=reason, released_at=clock.now())
    publish(session, released)
    await note_fullness(session, bed.ward)


async def serve_waiting(session: AsyncSession, facility: Facility) -> None:
    """Gives each of those who wait, in their order, a bed that is free and fit, if there is one."""
    if facility.status != "active" or not await _has_open_beds(session, facility.facility_id):
        return
    isolation_first = await setting_of(session, facility.facility_id, ISOLATION_GOES_FIRST)
    waiting = await BedRequest.waiting_at(session, facility.facility_id, isolation_first=isolation_first)
    floor = await Bed.all_of(session, Bed.facility_id == facility.facility_id) if waiting else []
    for request in waiting:
        bed = await _fit_bed(session, request, floor)
        if bed is not None:
            request.become("assigned")
            await occupy(session, bed, request)


async def note_fullness(session: AsyncSession, ward: Ward) -> None:
    """Says it once when the last bed of a ward was taken."""
    is_full = rules.is_full(await session.scalars(select(Bed.status).where(Bed.ward_id == ward.ward_id)))
    if is_full and ward.full_since is None:
        ward.full_since = clock.now()
        publish(session, WardFull.of(ward))
    elif not is_full:
        ward.full_since = None


async def need_of(session: AsyncSession, patient_id: UUID, *, isolation: bool) -> rules.Need:
    """What a patient needs of a bed. Raises NotYet."""
    patient = await PatientReference.current(session, patient_id)
    return rules.Need(sex=patient.sex, isolation=isolation)


async def _fit_bed(session: AsyncSession, request: BedRequest, floor: Sequence[Bed]) -> Bed | None:
    """The bed that was kept for the encounter, else a free one; none while the patient still lies in another."""
    if any(bed.status == "occupied" and bed.patient_id == request.patient_id for bed in floor):
        return None
    need = await need_of(session, request.patient_id, isolation=request.isolation)
    fit = [bed for bed in floor if _is_open_to(request, bed) and rules.is_fit(need, bed.place(floor))]
    kept = [bed for bed in fit if bed.status == "reserved"]
    return next(iter(kept), None) or min(fit, key=lambda bed: bed.place(floor).is_scarce != need.isolation, default=None)


async def _has_open_beds(session: AsyncSession, facility_id: UUID) -> bool:
    open_ = select(Bed.bed_id).where(Bed.facility_id == facility_id, Bed.status.in_(("available", "reserved")))
    return await session.scalar(open_.limit(1)) is not None


def _is_open_to(request: BedRequest, bed: Bed) -> bool:
    if bed.status == "reserved":
        return bed.encounter_id == request.encounter_id
    return bed.status == "available" and request.ward_id in {None, bed.ward_id}


async def _give_up_other_reservation(session: AsyncSession, bed: Bed, encounter_id: UUID) -> None:
    others = [Bed.encounter_id == encounter_id, Bed.status == "reserved", Bed.bed_id != bed.bed_id]
    for other in await Bed.all_of(session, *others):
        await take_back(session, other, "transferred")
