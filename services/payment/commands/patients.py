"""Who pays, also after two patients turned out to be one."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.payment import rules
from services.payment.replicas import PatientReference
from services.payment.tables import InstallmentPlan, Payment


async def surviving_patient(session: AsyncSession, patient_id: UUID) -> UUID:
    """Whom a patient was merged into, as far as is known here; else the patient."""
    seen = {patient_id}
    while True:
        patient = await PatientReference.find(session, patient_id)
        if patient is None or patient.merged_into is None or patient.merged_into in seen:
            return patient_id
        patient_id = patient.merged_into
        seen.add(patient_id)


async def merge_patient(session: AsyncSession, patient_id: UUID, into_patient_id: UUID) -> None:
    """Gives one patient's payments and plans that are under way to another; those that are over stay as they were."""
    under_way = Payment.status.in_(rules.UNDER_WAY)
    for payment in await Payment.all_locked(session, Payment.patient_id == patient_id, under_way):
        payment.patient_id = into_patient_id
    for plan in await InstallmentPlan.all_active(session, InstallmentPlan.patient_id == patient_id):
        plan.patient_id = into_patient_id
