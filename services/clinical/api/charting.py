"""What is done at the bedside."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from broker import Idempotent, Page, PageRequest, Router, Transaction
from services.clinical import commands, views
from services.clinical.api.access import Bedside, Clinician, record_of
from services.clinical.tables import ClinicalNote, Immunization, Procedure, VitalSigns

router = Router()


@router.post("/patients/{patient_id}/procedures", status_code=201)
async def perform_procedure(
    patient_id: UUID, asked: views.NewProcedure, session: Transaction, who: Clinician, key: Idempotent
) -> views.ProcedureView:
    """Something was done to the patient: it can be charged."""
    await record_of(session, who, patient_id, Procedure)
    row = await commands.perform_procedure(session, patient_id, **dict(asked), by=who.subject)
    return views.ProcedureView.model_validate(row)


@router.get("/patients/{patient_id}/procedures")
async def list_procedures(patient_id: UUID, session: Transaction, who: Bedside, page: PageRequest) -> Page[views.ProcedureView]:
    """What was done to the patient, the newest first; merges are followed."""
    patient = await record_of(session, who, patient_id, Procedure)
    query = select(Procedure).where(Procedure.patient_id == patient.patient_id)
    by = [Procedure.recorded_at.desc(), Procedure.procedure_id.desc()]
    return await page.read(session, query, by=by, view=views.ProcedureView.model_validate)


@router.post("/patients/{patient_id}/immunizations", status_code=201)
async def give_immunization(
    patient_id: UUID, asked: views.NewImmunization, session: Transaction, who: Clinician, key: Idempotent
) -> views.ImmunizationView:
    """The patient was vaccinated."""
    await record_of(session, who, patient_id, Immunization)
    row = await commands.give_immunization(session, patient_id, **dict(asked), by=who.subject)
    return views.ImmunizationView.model_validate(row)


@router.get("/patients/{patient_id}/immunizations")
async def list_immunizations(
    patient_id: UUID, session: Transaction, who: Bedside, page: PageRequest
) -> Page[views.ImmunizationView]:
    """The patient's vaccinations, the newest first; merges are followed."""
    patient = await record_of(session, who, patient_id, Immunization)
    query = select(Immunization).where(Immunization.patient_id == patient.patient_id)
    by = [Immunization.recorded_at.desc(), Immunization.immunization_id.desc()]
    return await page.read(session, query, by=by, view=views.ImmunizationView.model_validate)


@router.post("/patients/{patient_id}/vitals", status_code=201)
async def chart_vitals(
    patient_id: UUID, asked: views.NewVitals, session: Transaction, who: Bedside, key: Idempotent
) -> views.VitalsView:
    """Vital signs were measured."""
    await record_of(session, who, patient_id, VitalSigns)
    at, encounter_id = asked.charted_at, asked.encounter_id
    vitals = await commands.chart_vitals(
        session, patient_id, asked.measured, charted_at=at, encounter_id=encounter_id, by=who.subject
    )
    return views.VitalsView.model_validate(vitals)


@router.get("/patients/{patient_id}/vitals")
async def list_vitals(patient_id: UUID, session: Transaction, who: Bedside, page: PageRequest) -> Page[views.VitalsView]:
    """The patient's vital signs, the newest first; merges are followed."""
    patient = await record_of(session, who, patient_id, VitalSigns)
    query = select(VitalSigns).where(VitalSigns.patient_id == patient.patient_id)
    by = [VitalSigns.recorded_at.desc(), VitalSigns.vitals_id.desc()]
    return await page.read(session, query, by=by, view=views.VitalsView.model_validate)


@router.post("/patients/{patient_id}/clinical-notes", status_code=201)
async def write_note(
    patient_id: UUID, asked: views.NewNote, session: Transaction, who: Bedside, key: Idempotent
) -> views.NoteView:
    """Somebody at the bedside writes something down."""
    await record_of(session, who, patient_id, ClinicalNote)
    row = await commands.write_note(session, patient_id, **dict(asked), by=who.subject)
    return views.NoteView.model_validate(row)


@router.get("/patients/{patient_id}/clinical-notes")
async def list_notes(patient_id: UUID, session: Transaction, who: Bedside, page: PageRequest) -> Page[views.NoteView]:
    """What those at the bedside wrote, the newest first; merges are followed."""
    patient = await record_of(session, who, patient_id, ClinicalNote)
    query = select(ClinicalNote).where(ClinicalNote.patient_id == patient.patient_id)
    by = [ClinicalNote.recorded_at.desc(), ClinicalNote.note_id.desc()]
    return await page.read(session, query, by=by, view=views.NoteView.model_validate)
