"""How billing reacts to what happens elsewhere."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from broker import Envelope, on
from contracts.billing import CouponExpiryDue, InvoiceDue
from contracts.clinical import (
    EncounterCancelled,
    EncounterDischarged,
    PatientMerged,
    PatientRegistered,
    PatientUnmerged,
    ProcedurePerformed,
)
from contracts.facility import FacilityChanged
from contracts.lab import LabOrderCompleted
from contracts.payment import (
    DisputeLost,
    DisputeOpened,
    DisputeWon,
    InstallmentPlanDefaulted,
    PaymentSucceeded,
    RefundSucceeded,
)
from services.billing import commands


@on(PatientRegistered)
async def open_account(event: PatientRegistered, session: AsyncSession) -> None:
    """A new patient gets an account."""
    await commands.open_account(session, event.patient_id, event.facility_id)


@on(PatientMerged, PatientUnmerged)
async def merge_patient(event: PatientMerged | PatientUnmerged, session: AsyncSession) -> None:
    """What is open of one patient belongs to the other, until the merge is taken back."""
    if isinstance(event, PatientMerged):
        await commands.merge_patient(session, event.patient_id, event.into_patient_id, event.facility_id)
    else:
        await commands.unmerge_patient(session, event.patient_id, event.facility_id)


@on(LabOrderCompleted)
async def charge_what_was_done(event: LabOrderCompleted, session: AsyncSession, envelope: Envelope) -> None:
    """Every test of a completed order is charged."""
    await commands.capture_charges(session, event, envelope.id)


@on(ProcedurePerformed)
async def charge_procedure(event: ProcedurePerformed, session: AsyncSession, envelope: Envelope) -> None:
    """What was done to a patient is charged."""
    await commands.capture_procedure(session, event, envelope.id)


@on(EncounterDischarged)
async def invoice_the_encounter(event: EncounterDischarged, session: AsyncSession) -> None:
    """What an encounter cost is invoiced when it is over."""
    whose = event.recorded_for or event.patient_id
    await commands.bill_encounter(session, event.encounter_id, whose, event.facility_id, event.discharged_at)


@on(EncounterCancelled)
async def ask_nothing_for_a_cancelled_encounter(event: EncounterCancelled, session: AsyncSession) -> None:
    """What was charged for an encounter that did not take place waits for a person; an unpaid invoice of it is voided."""
    await commands.cancel_encounter(session, event)


@on(FacilityChanged)
async def invoice_what_waited(event: FacilityChanged, session: AsyncSession) -> None:
    """What was not invoiced while a facility was not active is, once it is active again."""
    await commands.invoice_what_waited(session, event)


@on(PaymentSucceeded)
async def allocate_what_was_paid(event: PaymentSucceeded, session: AsyncSession, envelope: Envelope) -> None:
    """Money that arrived settles invoices."""
    await commands.allocate_payment(session, event, envelope.id)


@on(RefundSucceeded)
async def take_back_what_was_refunded(event: RefundSucceeded, session: AsyncSession, envelope: Envelope) -> None:
    """What refunded money had settled is open again."""
    await commands.take_refund(session, event, envelope.id)


@on(DisputeOpened)
async def hold_what_is_disputed(event: DisputeOpened, session: AsyncSession) -> None:
    """What disputed money settled is left alone until the dispute is decided."""
    await commands.hold_what_is_disputed(session, event)


@on(DisputeWon)
async def release_what_was_won(event: DisputeWon, session: AsyncSession) -> None:
    """What was on hold goes on as before."""
    await commands.win_dispute(session, event)


@on(DisputeLost)
async def take_back_what_was_lost(event: DisputeLost, session: AsyncSession, envelope: Envelope) -> None:
    """What the lost money had settled is open again."""
    await commands.lose_dispute(session, event, envelope.id)


@on(InstallmentPlanDefaulted)
async def collect_defaulted_plan(event: InstallmentPlanDefaulted, session: AsyncSession) -> None:
    """Others ask for what was to be paid in instalments and was not."""
    await commands.collect_defaulted(session, event)


@on(InvoiceDue)
async def mark_overdue(event: InvoiceDue, session: AsyncSession) -> None:
    """An invoice with money open after its due date is overdue, and in the end a matter for collections."""
    await commands.look_at_due_invoice(session, event.invoice_id)


@on(CouponExpiryDue)
async def expire_coupon(event: CouponExpiryDue, session: AsyncSession) -> None:
    """A coupon ends with its last day."""
    await commands.expire_coupon(session, event.coupon_id)
