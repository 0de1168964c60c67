"""How facility reacts to what happens elsewhere, and to the end of a reservation."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from broker import on
from contracts.clinical import (
    EncounterAdmitted,
    EncounterCancelled,
    EncounterDischarged,
    PatientDeceased,
    PatientMerged,
    PatientUnmerged,
)
from contracts.facility import BedReservationExpired, ReleaseReason
from services.facility import commands


@on(EncounterAdmitted, EncounterDischarged, EncounterCancelled)
async def follow_stay(event: EncounterAdmitted | EncounterDischarged | EncounterCancelled, session: AsyncSession) -> None:
    """An inpatient needs a bed until the stay ends; one queue for both, so that they are heard in their order."""
    if isinstance(event, EncounterAdmitted):
        given = event.model_dump(exclude={"admitted_at", "recorded_for", "patient_id"})
        whose = event.recorded_for or event.patient_id
        await commands.request_bed(session, **given, patient_id=whose, at=event.admitted_at)
        return
    reason: ReleaseReason = "discharged" if isinstance(event, EncounterDischarged) else "cancelled"
    given = event.model_dump(include={"encounter_id", "patient_id", "facility_id"})
    await commands.end_stay(session, **given, reason=reason, is_stay=event.encounter_class in (None, "inpatient"))


@on(PatientMerged, PatientUnmerged)
async def merge_patient(event: PatientMerged | PatientUnmerged, session: AsyncSession) -> None:
    """One patient's bed is the other's, until the merge is taken back."""
    if isinstance(event, PatientMerged):
        await commands.merge_patient(session, event.patient_id, event.into_patient_id, event.facility_id)
    else:
        await commands.unmerge_patient(session, event.patient_id, event.facility_id)


@on(PatientDeceased)
async def release_beds_of_deceased(event: PatientDeceased, session: AsyncSession) -> None:
    """Who died needs no bed any more."""
    await commands.release_beds_of(session, event.patient_id, event.facility_id)


@on(BedReservationExpired)
async def expire_reservation(event: BedReservationExpired, session: AsyncSession) -> None:
    """Nobody came in time: the bed is for others."""
    await commands.expire_reservation(session, event.bed_id, event.encounter_id)
