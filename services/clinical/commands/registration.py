"""Who the patients are."""

from __future__ import annotations

from datetime import date
from typing import TypedDict, Unpack
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock, publish
from contracts.clinical import PatientDeceased, PatientRegistered, Sex
from services.clinical import rules
from services.clinical.commands.duplicates import look_for_duplicates
from services.clinical.errors import MedicalRecordNumberIsTaken
from services.clinical.replicas import FacilityReference
from services.clinical.tables import Patient


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
    """Makes a person a patient of a facility; a record that may be of the same person is left to be reviewed.

    Raises NotYet, FacilityIsNotActive, MedicalRecordNumberIsTaken, TimeIsInTheFuture.
    """
    await FacilityReference.require_active(session, facility_id)
    await Patient.alone_at(session, facility_id)
    now = clock.now()
    same = select(Patient.patient_id).filter_by(facility_id=facility_id, medical_record_number=medical_record_number)
    if await session.scalar(same) is not None:
        raise MedicalRecordNumberIsTaken
    patient = Patient(
        patient_id=patient_id or uuid4(),
        facility_id=facility_id,
        medical_record_number=medical_record_number,
        full_name=full_name,
        birth_date=rules.check_birth(birth_date, await FacilityReference.day_at(session, facility_id, now)),
        sex=sex,
        status="active",
        registered_at=now,
        **contact,
    )
    session.add(patient)
    await look_for_duplicates(session, patient)
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

    A record that may be of the same person, as this one is described from here on, is left to be reviewed.
    Raises NotFound, MergedPatientIsReadOnly, TimeIsInTheFuture.
    """
    await Patient.alone_at(session, (await Patient.seen(session, patient_id)).facility_id)
    patient = await Patient.locked(session, patient_id)
    rules.check_writable(patient)
    today = await FacilityReference.day_at(session, patient.facility_id, clock.now())
    patient.full_name = full_name or patient.full_name
    patient.birth_date = rules.check_birth(birth_date or patient.birth_date, today)
    patient.sex = sex or patient.sex
    for name, value in contact.items():
        setattr(patient, name, value)
    await look_for_duplicates(session, patient)
    return patient


async def record_death(session: AsyncSession, patient_id: UUID, deceased_on: date) -> Patient:
    """Records that a patient died. Raises NotFound, PatientCannotBecome, DeathIsBeforeBirth, TimeIsInTheFuture."""
    patient = await Patient.locked(session, patient_id)
    rules.check_writable(patient)
    patient.become("deceased")
    today = await FacilityReference.day_at(session, patient.facility_id, clock.now())
    patient.deceased_on = rules.check_death(deceased_on, patient.birth_date, today)
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
