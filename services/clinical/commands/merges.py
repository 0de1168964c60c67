"""Two records of one person: merging them, and taking it back."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock, publish
from contracts.clinical import PatientMerged, PatientUnmerged
from services.clinical import rules
from services.clinical.commands.audit import ITSELF, audit
from services.clinical.tables import MOVED_IN_BULK, DuplicateReview, Encounter, Patient


async def merge_patients(session: AsyncSession, patient_id: UUID, *, into_patient_id: UUID, by: str = ITSELF) -> Patient:
    """Everything of `patient_id` becomes that of `into_patient_id`, to which the record redirects from now on.

    What was open about two records that stand for one from now on is answered. Gives the record that lives on.
    Raises NotFound, PatientCannotBecome, BothPatientsAreInpatients, and what `rules.check_merge` raises.
    """
    await Patient.alone_at(session, (await Patient.seen(session, patient_id)).facility_id)
    patient, into = await _both_locked(session, patient_id, into_patient_id)
    rules.check_merge(patient, into)
    rules.check_one_bed(await Encounter.open_stays(session, patient_id, into_patient_id))
    patient.status_before_merge = patient.status
    patient.become("merged")
    patient.merged_into = into.patient_id
    await _move_children(session, await Patient.merged_through(session, patient_id), to=into.patient_id)
    for review in await DuplicateReview.open_among(session, await Patient.merged_through(session, into.patient_id)):
        review.decide("confirmed", by=by, at=clock.now())
    audit(session, "patient_merged", patient, into.patient_id, by=by)
    publish(session, PatientMerged.of(patient, into_patient_id=into.patient_id, merged_at=clock.now()))
    return into


async def unmerge_patient(session: AsyncSession, patient_id: UUID, *, by: str = ITSELF) -> Patient:
    """Takes a merge back: the record lives again, with all that was recorded for it. Raises OnlyAMergedPatientCanBeUnmerged."""
    patient = await Patient.locked(session, patient_id)
    patient.become(rules.status_after_unmerge(patient.status, patient.status_before_merge, patient.deceased_on))
    patient.status_before_merge = None
    publish(session, PatientUnmerged.of(patient, from_patient_id=patient.merged_into, unmerged_at=clock.now()))
    patient.merged_into = None
    await _move_children(session, await Patient.merged_through(session, patient_id), to=patient_id)
    audit(session, "patient_unmerged", patient, patient_id, by=by)
    return patient


async def _both_locked(session: AsyncSession, patient_id: UUID, into_patient_id: UUID) -> tuple[Patient, Patient]:
    """Both records, locked in the order of their ids, so that two merges never wait for each other."""
    locked = {key: await Patient.locked(session, key) for key in sorted({patient_id, into_patient_id})}
    return locked[patient_id], locked[into_patient_id]


async def _move_children(session: AsyncSession, recorded_for: Sequence[UUID], *, to: UUID) -> None:
    encounters = select(Encounter).where(Encounter.recorded_for.in_(recorded_for)).order_by(Encounter.encounter_id)
    for encounter in await session.scalars(encounters.with_for_update().execution_options(populate_existing=True)):
        encounter.patient_id = to
    for kind in MOVED_IN_BULK:
        await session.execute(update(kind).where(kind.recorded_for.in_(recorded_for)).values(patient_id=to))
