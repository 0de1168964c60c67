"""What clinical can be asked to do. Each works in the caller's transaction; what it publishes leaves with its commit.

Times that are not given are now; ids that are not given are new.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import TypedDict, Unpack
from uuid import UUID, uuid4

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from broker import NotFound, clock, publish
from contracts.billing import InvoicePaid
from contracts.clinical import (
    EncounterCancelled,
    EncounterClass,
    EncounterDischarged,
    EncounterStarted,
    PatientDeceased,
    PatientMerged,
    PatientRegistered,
    Sex,
)
from contracts.lab import LabResultAvailable, LabResultCorrected
from services.clinical import rules
from services.clinical.errors import MedicalRecordNumberIsTaken, PatientIsNotKnownYet
from services.clinical.tables import ENTRIES, Encounter, PaidInvoiceEntry, Patient, ResultEntry


class Contact(TypedDict, total=False):
    """How a patient is reached; what is left out is not known, or stays."""

    email: str | None
    phone: str | None
    locale: str | None
    street: str | None
    city: str | None
    postal_code: str | None
    country: str | None


async def register_patient(
    session: AsyncSession,
    *,
    facility_id: UUID,
    medical_record_number: str,
    full_name: str,
    birth_date: date,
    sex: Sex,
    patient_id: UUID | None = None,
    **contact: Unpack[Contact],
) -> Patient:
    """Makes a person a patient of a facility. Raises MedicalRecordNumberIsTaken, TimeIsInTheFuture."""
    now = clock.now()
    same = select(Patient.patient_id).filter_by(facility_id=facility_id, medical_record_number=medical_record_number)
    if await session.scalar(same) is not None:
        raise MedicalRecordNumberIsTaken
    patient = Patient(
        patient_id=patient_id or uuid4(),
        facility_id=facility_id,
        medical_record_number=medical_record_number,
        full_name=full_name,
        birth_date=rules.check_birth(birth_date, now.date()),
        sex=sex,
        status="active",
        registered_at=now,
        **contact,
    )
    session.add(patient)
    publish(session, PatientRegistered.of(patient))
    return patient


async def update_demographics(
    session: AsyncSession,
    patient_id: UUID,
    *,
    full_name: str | None = None,
    birth_date: date | None = None,
    sex: Sex | None = None,
    **contact: Unpack[Contact],
) -> Patient:
    """Changes what is given; a way to reach the patient that is given as None is forgotten.

    Raises NotFound, MergedPatientIsReadOnly, TimeIsInTheFuture.
    """
    patient = await Patient.locked(session, patient_id)
    rules.check_writable(patient)
    patient.full_name = full_name or patient.full_name
    patient.birth_date = rules.check_birth(birth_date or patient.birth_date, clock.now().date())
    patient.sex = sex or patient.sex
    for name, value in contact.items():
        setattr(patient, name, value)
    return patient


async def record_death(session: AsyncSession, patient_id: UUID, deceased_on: date) -> Patient:
    """Records that a patient died. Raises NotFound, PatientCannotBecome, DeathIsBeforeBirth, TimeIsInTheFuture."""
    patient = await Patient.locked(session, patient_id)
    rules.check_writable(patient)
    patient.become("deceased")
    patient.deceased_on = rules.check_death(deceased_on, patient.birth_date, clock.now().date())
    publish(session, PatientDeceased.of(patient))
    return patient


async def deactivate_patient(session: AsyncSession, patient_id: UUID) -> Patient:
    """The facility no longer treats this patient. Raises NotFound, PatientCannotBecome."""
    patient = await Patient.locked(session, patient_id)
    patient.become("inactive")
    return patient


async def reactivate_patient(session: AsyncSession, patient_id: UUID) -> Patient:
    """The facility treats this patient again. Raises NotFound, MergedPatientIsReadOnly, PatientCannotBecome."""
    patient = await Patient.locked(session, patient_id)
    rules.check_writable(patient)
    patient.become("active")
    return patient


async def merge_patients(session: AsyncSession, patient_id: UUID, *, into_patient_id: UUID) -> Patient:
    """Everything of `patient_id` becomes that of `into_patient_id`, to which the record redirects from now on.

    Gives the record that lives on. Raises NotFound, PatientCannotBecome, and what `rules.check_merge` raises.
    """
    patient, into = await _both_locked(session, patient_id, into_patient_id)
    rules.check_merge(patient, into)
    patient.become("merged")
    patient.merged_into = into.patient_id
    await _move_children(session, await Patient.merged_through(session, patient_id), to=into.patient_id)
    publish(session, PatientMerged.of(patient, into_patient_id=into.patient_id, merged_at=clock.now()))
    return into


async def unmerge_patient(session: AsyncSession, patient_id: UUID) -> Patient:
    """Takes a merge back: the record lives again, with all that was recorded for it. Raises OnlyAMergedPatientCanBeUnmerged."""
    patient = await Patient.locked(session, patient_id)
    patient.become(rules.status_after_unmerge(patient.status, patient.deceased_on))
    patient.merged_into = None
    await _move_children(session, await Patient.merged_through(session, patient_id), to=patient_id)
    return patient


async def plan_encounter(
    session: AsyncSession,
    *,
    patient_id: UUID,
    encounter_class: EncounterClass,
    planned_at: datetime | None = None,
    encounter_id: UUID | None = None,
) -> Encounter:
    """A patient is going to be seen. Raises NotFound."""
    patient = await Patient.current_held(session, patient_id)
    encounter = Encounter(
        encounter_id=encounter_id or uuid4(),
        patient_id=patient.patient_id,
        recorded_for=patient_id,
        facility_id=patient.facility_id,
        encounter_class=encounter_class,
        status="planned",
        planned_at=planned_at or clock.now(),
    )
    session.add(encounter)
    return encounter


async def arrive(session: AsyncSession, encounter_id: UUID, *, at: datetime | None = None) -> Encounter:
    """The patient is here. Raises NotFound, EncounterCannotBecome, TimeIsInTheFuture."""
    encounter = await Encounter.locked(session, encounter_id)
    encounter.become("arrived")
    encounter.arrived_at = rules.check_happened(at or clock.now(), clock.now())
    return encounter


async def start_encounter(session: AsyncSession, encounter_id: UUID, *, at: datetime | None = None) -> Encounter:
    """The patient is being seen. Raises NotFound, EncounterCannotBecome, TimeIsInTheFuture."""
    encounter = await Encounter.locked(session, encounter_id)
    encounter.become("in_progress")
    encounter.started_at = rules.check_happened(at or clock.now(), clock.now())
    publish(session, EncounterStarted.of(encounter))
    return encounter


async def discharge(session: AsyncSession, encounter_id: UUID, *, at: datetime | None = None) -> Encounter:
    """The encounter is over. Raises NotFound, EncounterCannotBecome, DischargeIsBeforeTheStart, TimeIsInTheFuture."""
    encounter = await Encounter.locked(session, encounter_id)
    encounter.become("finished")
    encounter.discharged_at = rules.check_discharge(at or clock.now(), encounter.started_at, clock.now())
    publish(session, EncounterDischarged.of(encounter))
    return encounter


async def cancel_encounter(session: AsyncSession, encounter_id: UUID, *, reason: str) -> Encounter:
    """The encounter will not take place. Raises NotFound, EncounterCannotBecome."""
    encounter = await Encounter.locked(session, encounter_id)
    encounter.become("cancelled")
    encounter.reason, encounter.cancelled_at = reason, clock.now()
    publish(session, EncounterCancelled.of(encounter))
    return encounter


async def mark_encounter_as_error(session: AsyncSession, encounter_id: UUID, *, reason: str) -> Encounter:
    """The encounter was entered in error: it stays to be seen, but never was. Raises NotFound, EncounterCannotBecome."""
    encounter = await Encounter.locked(session, encounter_id)
    encounter.become("entered_in_error")
    encounter.reason, encounter.cancelled_at = reason, clock.now()
    publish(session, EncounterCancelled.of(encounter))
    return encounter


async def enter_result(
    session: AsyncSession, result: LabResultAvailable | LabResultCorrected, *, source_event_id: UUID
) -> ResultEntry:
    """Puts a lab result, or its correction, into the record of its patient. Raises PatientIsNotKnownYet."""
    patient = await _patient_of_record(session, result.patient_id)
    entry = ResultEntry.of(
        result,
        source_event_id=source_event_id,
        patient_id=patient.patient_id,
        recorded_for=result.patient_id,
        entered_at=clock.now(),
    )
    session.add(entry)
    return entry


async def enter_paid_invoice(session: AsyncSession, invoice: InvoicePaid, *, source_event_id: UUID) -> PaidInvoiceEntry:
    """Shows in the record of its patient that an invoice was paid. Raises PatientIsNotKnownYet."""
    patient = await _patient_of_record(session, invoice.patient_id)
    entry = PaidInvoiceEntry.of(
        invoice,
        source_event_id=source_event_id,
        patient_id=patient.patient_id,
        recorded_for=invoice.patient_id,
        amount=invoice.amount.amount,
        currency=invoice.amount.currency,
        entered_at=clock.now(),
    )
    session.add(entry)
    return entry


async def _both_locked(session: AsyncSession, patient_id: UUID, into_patient_id: UUID) -> tuple[Patient, Patient]:
    """Both records, locked in the order of their ids, so that two merges never wait for each other."""
    locked = {key: await Patient.locked(session, key) for key in sorted({patient_id, into_patient_id})}
    return locked[patient_id], locked[into_patient_id]


async def _move_children(session: AsyncSession, recorded_for: Sequence[UUID], *, to: UUID) -> None:
    encounters = select(Encounter).where(Encounter.recorded_for.in_(recorded_for)).order_by(Encounter.encounter_id)
    for encounter in await session.scalars(encounters.with_for_update().execution_options(populate_existing=True)):
        encounter.patient_id = to
    for entry in ENTRIES:
        await session.execute(update(entry).where(entry.recorded_for.in_(recorded_for)).values(patient_id=to))


async def _patient_of_record(session: AsyncSession, patient_id: UUID) -> Patient:
    try:
        return await Patient.current_held(session, patient_id)
    except NotFound as unknown:
        raise PatientIsNotKnownYet from unknown
