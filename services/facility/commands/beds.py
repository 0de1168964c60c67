"""Beds: kept for somebody, given to somebody, exchanged, taken back, cleaned and taken out of service."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock, publish, schedule
from contracts.facility import BedReservationExpired, BedReserved, ReleaseReason
from services.facility import rules
from services.facility.commands.giving import need_of, note_fullness, occupy, reservation_of, serve_waiting, take_back
from services.facility.commands.settings import setting_of
from services.facility.commands.stays import close
from services.facility.errors import (
    BedIsInAnotherFacility,
    BedIsKeptForSomebodyElse,
    EncounterHasABed,
    EncounterHasBegun,
    PatientHasABed,
    PatientIsNotActive,
    PatientIsOfAnotherFacility,
)
from services.facility.replicas import PatientReference
from services.facility.settings import BED_RESERVATION_MINUTES
from services.facility.tables import Bed, BedRequest, Facility


async def reserve_bed(
    session: AsyncSession, bed_id: UUID, *, encounter_id: UUID, patient_id: UUID, isolation: bool = False
) -> Bed:
    """Keeps a bed for a planned stay, for as long as the facility's setting says.

    Raises BedCannotBecome, EncounterHasBegun, EncounterHasABed, FacilityIsNotActive, NotFound, NotYet, and what
    `rules.check_fit` and `_treated_patient` raise.
    """
    [bed] = await Bed.in_hand(session, bed_id)
    rules.check_active((await Facility.seen(session, bed.facility_id)).status)
    patient = await _treated_patient(session, patient_id, bed.facility_id)
    await _check_reservable(session, encounter_id)
    await _check_fit(session, bed, patient.id, isolation=isolation)
    minutes = await setting_of(session, bed.facility_id, BED_RESERVATION_MINUTES)
    until = clock.now() + timedelta(minutes=minutes)
    bed.keep_for(encounter_id, patient.id, isolation=isolation, until=until)
    expired = BedReservationExpired(bed_id=bed_id, encounter_id=encounter_id)
    await schedule(session, expired, at=until, name=reservation_of(bed_id))
    publish(session, BedReserved.of(bed))
    await note_fullness(session, bed.ward)
    return bed


async def cancel_reservation(session: AsyncSession, bed_id: UUID) -> Bed:
    """Keeps a bed no longer. Raises BedCannotBecome, NotFound."""
    [bed] = await Bed.in_hand(session, bed_id)
    rules.check_reserved(bed.status)
    return await _taken_back(session, bed, "cancelled")


async def expire_reservation(session: AsyncSession, bed_id: UUID, encounter_id: UUID) -> None:
    """Keeps a bed no longer if its time is over and nobody came."""
    [bed] = await Bed.in_hand(session, bed_id)
    is_still_kept = bed.status == "reserved" and bed.encounter_id == encounter_id
    if is_still_kept and bed.reserved_until is not None and bed.reserved_until <= clock.now():
        await _taken_back(session, bed, "reservation_expired")


async def assign_bed(session: AsyncSession, bed_id: UUID, *, encounter_id: UUID) -> Bed:
    """Gives a certain bed to an encounter that waits for one.

    Raises BedRequestCannotBecome, BedCannotBecome, BedIsKeptForSomebodyElse, PatientHasABed, FacilityIsNotActive, NotFound, and
    what `rules.check_fit` raises.
    """
    [bed] = await Bed.in_hand(session, bed_id)
    rules.check_active((await Facility.seen(session, bed.facility_id)).status)
    request = await BedRequest.locked(session, encounter_id)
    if request.facility_id != bed.facility_id:
        raise BedIsInAnotherFacility
    request.become("assigned")
    await _check_lies_nowhere(session, request.patient_id)
    await _put_to_bed(session, bed, request)
    return bed


async def transfer_patient(session: AsyncSession, bed_id: UUID, *, to_bed_id: UUID) -> Bed:
    """Moves who lies in one bed to another, at once or not at all; the bed that was left is cleaned. Gives the new bed.

    Raises BedCannotBecome, BedIsInAnotherFacility, BedIsKeptForSomebodyElse, NotFound, and what `rules.check_fit` raises.
    """
    bed, to = await Bed.in_hand(session, bed_id, to_bed_id)
    if bed.facility_id != to.facility_id:
        raise BedIsInAnotherFacility
    rules.BED.moved(bed.status, "cleaning")
    request = await session.get_one(BedRequest, bed.encounter_id)
    await take_back(session, bed, "transferred")
    await _put_to_bed(session, to, request, transferred_from=bed_id)
    await serve_waiting(session, await Facility.seen(session, bed.facility_id))
    return to


async def release_bed(session: AsyncSession, bed_id: UUID, *, reason: ReleaseReason) -> Bed:
    """Somebody has left a bed for good: it is cleaned. Raises BedCannotBecome, NotFound."""
    [bed] = await Bed.in_hand(session, bed_id)
    rules.BED.moved(bed.status, "cleaning")
    await close(session, await session.get_one(BedRequest, bed.encounter_id), reason)
    await serve_waiting(session, await Facility.seen(session, bed.facility_id))
    return bed


async def put_into_service(session: AsyncSession, bed_id: UUID, *, out_of: rules.Idle) -> Bed:
    """A bed is clean, repaired or no longer blocked: who waits for it gets it.

    Raises BedCannotBecome when it is not what it should come out of, WardIsAtCapacity, NotFound.
    """
    [bed] = await Bed.in_hand(session, bed_id)
    rules.check_idle(bed.status, out_of)
    bed.become("available")
    beds = await session.scalars(select(Bed.status).where(Bed.ward_id == bed.ward_id))
    rules.check_capacity(rules.in_service(beds), bed.ward.capacity)
    await note_fullness(session, bed.ward)
    await serve_waiting(session, await Facility.seen(session, bed.facility_id))
    return bed


async def take_out_of_service(session: AsyncSession, bed_id: UUID, *, to: Literal["maintenance", "blocked"]) -> Bed:
    """Nobody gets this bed until it is put into service again. Raises BedCannotBecome, NotFound."""
    [bed] = await Bed.in_hand(session, bed_id)
    bed.become(to)
    await note_fullness(session, bed.ward)
    return bed


async def _put_to_bed(session: AsyncSession, bed: Bed, request: BedRequest, *, transferred_from: UUID | None = None) -> None:
    if bed.status == "reserved" and bed.encounter_id != request.encounter_id:
        raise BedIsKeptForSomebodyElse
    await _check_fit(session, bed, request.patient_id, isolation=request.isolation)
    await occupy(session, bed, request, transferred_from=transferred_from)


async def _taken_back(session: AsyncSession, bed: Bed, reason: ReleaseReason) -> Bed:
    await take_back(session, bed, reason)
    await serve_waiting(session, await Facility.seen(session, bed.facility_id))
    return bed


async def _check_fit(session: AsyncSession, bed: Bed, patient_id: UUID, *, isolation: bool) -> None:
    need = await need_of(session, patient_id, isolation=isolation)
    rules.check_fit(need, bed.place(await Bed.all_of(session, Bed.ward_id == bed.ward_id)))


async def _check_reservable(session: AsyncSession, encounter_id: UUID) -> None:
    if await session.get(BedRequest, encounter_id) is not None:
        raise EncounterHasBegun
    if await session.scalar(select(Bed.bed_id).where(Bed.encounter_id == encounter_id)) is not None:
        raise EncounterHasABed


async def _check_lies_nowhere(session: AsyncSession, patient_id: UUID) -> None:
    lies_in = select(Bed.bed_id).where(Bed.patient_id == patient_id, Bed.status == "occupied")
    if await session.scalar(lies_in) is not None:
        raise PatientHasABed


async def _treated_patient(session: AsyncSession, patient_id: UUID, facility_id: UUID) -> PatientReference:
    """Raises PatientIsOfAnotherFacility, PatientIsNotActive, NotYet."""
    patient = await PatientReference.current(session, patient_id)
    if patient.facility_id != facility_id:
        raise PatientIsOfAnotherFacility
    if patient.status != "active":
        raise PatientIsNotActive(state=patient.status)
    return patient
