"""What other services say, in the record of its patient."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from broker import NotFound, clock
from contracts.billing import InvoicePaid
from contracts.lab import LabResultAvailable, LabResultCorrected
from services.clinical.errors import PatientIsNotKnownYet
from services.clinical.tables import PaidInvoiceEntry, Patient, ResultEntry


async def enter_result(
    session: AsyncSession, result: LabResultAvailable | LabResultCorrected, *, source_event_id: UUID
) -> ResultEntry:
    """Puts a lab result, or its correction, into the record of its patient. Raises PatientIsNotKnownYet."""
    recorded_for = result.recorded_for or result.patient_id
    patient = await _patient_of_record(session, recorded_for)
    entry = ResultEntry.of(
        result,
        source_event_id=source_event_id,
        patient_id=patient.patient_id,
        recorded_for=recorded_for,
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


async def _patient_of_record(session: AsyncSession, patient_id: UUID) -> Patient:
    try:
        return await Patient.current_held(session, patient_id)
    except NotFound as unknown:
        raise PatientIsNotKnownYet from unknown
