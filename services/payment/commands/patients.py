"""Who pays, also after two patients turned out to be one, or two after all."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.payment import rules
from services.payment.replicas import InvoiceReference, PatientReference
from services.payment.tables import Payment


async def surviving_patient(session: AsyncSession, patient_id: UUID) -> UUID:
    """Whom a patient was merged into; else the patient. Money that moves does not wait for a patient not known here.

    Raises as `PatientReference.current` while a merge is known here only in part.
    """
    if await PatientReference.find(session, patient_id) is None:
        return patient_id
    survivor: UUID = (await PatientReference.current(session, patient_id)).id
    return survivor


async def payer_of(session: AsyncSession, payment: Payment) -> UUID:
    """Whose a payment is by now: through a provider, of whom its invoice is; at the desk, of whom it was recorded for.

    Raises as `surviving_patient`.
    """
    patient_id = payment.recorded_for
    if payment.provider is not None and payment.invoice_id is not None:
        invoice = await InvoiceReference.newest(session, payment.invoice_id)
        patient_id = patient_id if invoice is None else invoice.patient_id
    return await surviving_patient(session, patient_id)


async def merge_patient(session: AsyncSession, patient_id: UUID, into_patient_id: UUID) -> None:
    """Gives one patient's payments that are under way to another; those that are over stay as they were.

    A plan follows its invoice. Raises as `surviving_patient`.
    """
    recorded_for = await PatientReference.identities(session, patient_id)
    await _hand_over(session, recorded_for, to=await surviving_patient(session, into_patient_id))


async def unmerge_patient(session: AsyncSession, patient_id: UUID) -> None:
    """What was recorded for a patient, or for whom was merged into them, and is under way is theirs again."""
    await _hand_over(session, await PatientReference.identities(session, patient_id), to=patient_id)


async def _hand_over(session: AsyncSession, recorded_for: Sequence[UUID], *, to: UUID) -> None:
    theirs = [Payment.recorded_for.in_(recorded_for), Payment.status.in_(rules.UNDER_WAY)]
    for payment in await Payment.all_locked(session, *theirs):
        payment.patient_id = to
