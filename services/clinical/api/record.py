"""What a patient's record says of results, diagnoses and allergies."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from broker import Idempotent, Page, PageRequest, Reading, Router, Transaction, visible
from services.clinical import commands, views
from services.clinical.api.access import Bedside, Clinician, Staff, record_of
from services.clinical.tables import Allergy, Diagnosis, PaidInvoiceEntry, Patient, ResultEntry

router = Router()


@router.get("/patients/{patient_id}/results")
async def list_results(patient_id: UUID, session: Transaction, who: Bedside, page: PageRequest) -> Page[views.ResultView]:
    """The lab results in the patient's record, with their corrections, the newest first; merges are followed."""
    patient = await record_of(session, who, patient_id, ResultEntry)
    query = select(ResultEntry).where(ResultEntry.patient_id == patient.patient_id)
    by = [ResultEntry.entered_at.desc(), ResultEntry.entry_id.desc()]
    return await page.read(session, query, by=by, view=views.ResultView.model_validate)


@router.get("/patients/{patient_id}/paid-invoices")
async def list_paid_invoices(patient_id: UUID, session: Reading, who: Staff, page: PageRequest) -> Page[views.PaidInvoiceView]:
    """The patient's invoices that are paid, the newest first; merges are followed."""
    await visible(session, who, Patient, patient_id)
    patient = await Patient.current(session, patient_id)
    query = select(PaidInvoiceEntry).where(PaidInvoiceEntry.patient_id == patient.patient_id)
    by = [PaidInvoiceEntry.entered_at.desc(), PaidInvoiceEntry.entry_id.desc()]
    return await page.read(session, query, by=by, view=views.PaidInvoiceView.model_validate)


@router.post("/patients/{patient_id}/diagnoses", status_code=201)
async def record_diagnosis(
    patient_id: UUID, asked: views.NewDiagnosis, session: Transaction, who: Clinician, key: Idempotent
) -> views.DiagnosisView:
    """A diagnosis was made."""
    await record_of(session, who, patient_id, Diagnosis)
    row = await commands.record_diagnosis(session, patient_id, **dict(asked), by=who.subject)
    return views.DiagnosisView.model_validate(row)


@router.get("/patients/{patient_id}/diagnoses")
async def list_diagnoses(patient_id: UUID, session: Transaction, who: Bedside, page: PageRequest) -> Page[views.DiagnosisView]:
    """The patient's diagnoses, the newest first; merges are followed."""
    patient = await record_of(session, who, patient_id, Diagnosis)
    query = select(Diagnosis).where(Diagnosis.patient_id == patient.patient_id)
    by = [Diagnosis.recorded_at.desc(), Diagnosis.diagnosis_id.desc()]
    return await page.read(session, query, by=by, view=views.DiagnosisView.model_validate)


@router.post("/diagnoses/{diagnosis_id}/status")
async def change_diagnosis(
    diagnosis_id: UUID, asked: views.DiagnosisChange, session: Transaction, who: Clinician, key: Idempotent
) -> views.DiagnosisView:
    """What is thought of a diagnosis changed."""
    await record_of(session, who, (await Diagnosis.seen(session, diagnosis_id)).patient_id, Diagnosis)
    diagnosis = await commands.change_diagnosis(session, diagnosis_id, **dict(asked), by=who.subject)
    return views.DiagnosisView.model_validate(diagnosis)


@router.post("/patients/{patient_id}/allergies", status_code=201)
async def record_allergy(
    patient_id: UUID, asked: views.NewAllergy, session: Transaction, who: Clinician, key: Idempotent
) -> views.AllergyView:
    """The patient does not tolerate a substance."""
    await record_of(session, who, patient_id, Allergy)
    row = await commands.record_allergy(session, patient_id, **dict(asked), by=who.subject)
    return views.AllergyView.model_validate(row)


@router.get("/patients/{patient_id}/allergies")
async def list_allergies(patient_id: UUID, session: Transaction, who: Bedside, page: PageRequest) -> Page[views.AllergyView]:
    """The patient's allergies, with those that turned out to be none, the newest first; merges are followed."""
    patient = await record_of(session, who, patient_id, Allergy)
    query = select(Allergy).where(Allergy.patient_id == patient.patient_id)
    by = [Allergy.recorded_at.desc(), Allergy.allergy_id.desc()]
    return await page.read(session, query, by=by, view=views.AllergyView.model_validate)


@router.post("/allergies/{allergy_id}/remove")
async def remove_allergy(
    allergy_id: UUID, asked: views.Reason, session: Transaction, who: Clinician, key: Idempotent
) -> views.AllergyView:
    """An allergy turned out to be none; that it was recorded stays to be seen."""
    await record_of(session, who, (await Allergy.seen(session, allergy_id)).patient_id, Allergy)
    allergy = await commands.remove_allergy(session, allergy_id, **dict(asked), by=who.subject)
    return views.AllergyView.model_validate(allergy)
