"""How billing reacts to what happens elsewhere."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from broker import Envelope, on
from contracts.billing import InvoiceDue
from contracts.clinical import EncounterDischarged, PatientMerged, PatientRegistered
from contracts.lab import LabOrderCompleted
from contracts.payment import PaymentSucceeded
from services.billing import commands


@on(PatientRegistered)
async def open_account(event: PatientRegistered, session: AsyncSession) -> None:
    """A new patient gets an account."""
    await commands.open_account(session, event.patient_id, event.facility_id)


@on(PatientMerged)
async def merge_patient(event: PatientMerged, session: AsyncSession) -> None:
    """What is open of one patient belongs to the other."""
    await commands.merge_patient(session, event.patient_id, event.into_patient_id, event.facility_id)


@on(LabOrderCompleted)
async def charge_what_was_done(event: LabOrderCompleted, session: AsyncSession, envelope: Envelope) -> None:
    """Every test of a completed order is charged."""
    await commands.capture_charges(session, event, envelope.id)


@on(EncounterDischarged)
async def invoice_the_encounter(event: EncounterDischarged, session: AsyncSession) -> None:
    """What an encounter cost is invoiced when it is over."""
    await commands.bill_encounter(session, event.encounter_id, event.patient_id, event.facility_id, event.discharged_at)


@on(PaymentSucceeded)
async def allocate_what_was_paid(event: PaymentSucceeded, session: AsyncSession, envelope: Envelope) -> None:
    """Money that arrived settles invoices."""
    await commands.allocate_payment(session, event, envelope.id)


@on(InvoiceDue)
async def mark_overdue(event: InvoiceDue, session: AsyncSession) -> None:
    """An invoice with money open after its due date is overdue."""
    await commands.mark_overdue(session, event.invoice_id)
