"""What those who treat a patient write into the record.

Each is recorded for the id that it was asked under and belongs to the patient whom that stands for. All of them raise NotFound,
EncounterIsOfAnotherPatient for an encounter that is not the patient's, and EncounterNeverWas.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypedDict, TypeVar, Unpack
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock, publish
from contracts.clinical import ImmunizationGiven, ProcedurePerformed, VitalsCharted
from services.clinical import rules
from services.clinical.replicas import FacilityReference
from services.clinical.rules.vitals import Measured
from services.clinical.tables import Charted, ClinicalNote, Encounter, Immunization, Patient, Procedure, VitalSigns

Row = TypeVar("Row", bound=Charted)


class Author(TypedDict):
    """Who writes, and in which encounter."""

    encounter_id: UUID | None
    by: str


async def perform_procedure(
    session: AsyncSession,
    patient_id: UUID,
    *,
    code: str,
    description: str,
    performed_at: datetime | None = None,
    **author: Unpack[Author],
) -> Procedure:
    """Something was done to a patient. Raises TimeIsInTheFuture, RecordIsBeforeBirth."""
    at = rules.check_happened(performed_at or clock.now(), clock.now())
    patient = await Patient.current_held(session, patient_id)
    rules.check_born(await FacilityReference.day_at(session, patient.facility_id, at), patient.birth_date)
    says = {"code": code, "description": description, "performed_at": at}
    procedure = await charted(session, Procedure, patient, patient_id, author, **says)
    publish(session, ProcedurePerformed.of(procedure))
    return procedure


async def give_immunization(
    session: AsyncSession,
    patient_id: UUID,
    *,
    vaccine_code: str,
    dose: int,
    given_at: datetime | None = None,
    lot_number: str | None = None,
    **author: Unpack[Author],
) -> Immunization:
    """A patient was vaccinated. Raises TimeIsInTheFuture, and what `rules.check_living` and `rules.check_dose` raise."""
    at = rules.check_happened(given_at or clock.now(), clock.now())
    patient = await Patient.current_locked(session, patient_id)
    earlier = select(Immunization.dose, Immunization.given_at).where(
        Immunization.patient_id == patient.patient_id, Immunization.vaccine_code.in_(rules.codes_like(vaccine_code))
    )
    zone = await FacilityReference.zone_of(session, patient.facility_id)
    days = {row.dose: row.given_at.astimezone(zone).date() for row in await session.execute(earlier)}
    day = at.astimezone(zone).date()
    rules.check_living(day, patient.birth_date, patient.deceased_on)
    rules.check_dose(vaccine_code, dose, day, birth_date=patient.birth_date, earlier=days)
    says = {"vaccine_code": vaccine_code, "dose": dose, "lot_number": lot_number, "given_at": at}
    immunization = await charted(session, Immunization, patient, patient_id, author, **says)
    publish(session, ImmunizationGiven.of(immunization))
    return immunization


async def chart_vitals(
    session: AsyncSession,
    patient_id: UUID,
    measured: Mapping[str, Measured | None],
    *,
    charted_at: datetime | None = None,
    **author: Unpack[Author],
) -> VitalSigns:
    """A patient's vital signs were measured. Raises TimeIsInTheFuture, and what `check_vitals` and `check_living` raise."""
    at = rules.check_happened(charted_at or clock.now(), clock.now())
    rules.check_vitals(measured)
    patient = await Patient.current_held(session, patient_id)
    day = await FacilityReference.day_at(session, patient.facility_id, at)
    rules.check_living(day, patient.birth_date, patient.deceased_on)
    vitals = await charted(session, VitalSigns, patient, patient_id, author, **measured, charted_at=at)
    publish(session, VitalsCharted.of(vitals))
    return vitals


async def write_note(session: AsyncSession, patient_id: UUID, *, text: str, **author: Unpack[Author]) -> ClinicalNote:
    """Somebody at the bedside writes something down."""
    patient = await Patient.current_held(session, patient_id)
    return await charted(session, ClinicalNote, patient, patient_id, author, text=text)


async def charted(
    session: AsyncSession, kind: type[Row], patient: Patient, recorded_for: UUID, author: Author, **says: Any
) -> Row:
    """A new row of the record of a patient, who is held."""
    encounter_id = author["encounter_id"]
    if encounter_id is not None:
        rules.check_recorded_in(await Encounter.held(session, encounter_id), patient.patient_id)
    written = {"encounter_id": encounter_id, "recorded_at": clock.now(), "recorded_by": author["by"]}
    row = kind.belonging_to(patient, recorded_for=recorded_for, **written, **says)
    session.add(row)
    await session.flush()
    return row
