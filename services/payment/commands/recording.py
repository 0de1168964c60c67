"""Recording money that was taken at a desk or has arrived: cash, transfers, an insurer's cheque."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock, publish
from contracts.payment import PaymentInitiated
from services.payment import rules
from services.payment.commands.outcomes import succeed
from services.payment.commands.patients import payer_of, surviving_patient
from services.payment.errors import InvoiceIsOfAnotherFacility, ReferenceBelongsToAnotherPayment
from services.payment.replicas import InvoiceReference
from services.payment.tables import Payment


async def record_payment(session: AsyncSession, recorded: rules.RecordedPayment) -> Payment:
    """Notes money that is ours; the same reference at the same facility again gives the payment there is.

    It has happened, and may be more than is open. An invoice whose copy has not arrived here is for the caller to vouch for.
    Raises AmountMustBeAboveZero, InvoiceIsOfAnotherFacility, ReferenceBelongsToAnotherPayment.
    """
    known = await _known(session, recorded)
    if known is not None:
        return known
    payment = await _payment(session, recorded)
    payment.move("processing")
    payment.move("succeeded")
    await succeed(session, payment, payment.amount, recorded.received_at or payment.initiated_at)
    return payment


async def take_cash(session: AsyncSession, recorded: rules.RecordedPayment, by: str) -> Payment:
    """Notes cash that lies in the till: it waits for a second person to count it. Raises as `record_payment`."""
    known = await _known(session, recorded)
    if known is not None:
        return known
    payment = await _payment(session, recorded)
    payment.taken_by = by
    payment.move("requires_action")
    publish(session, PaymentInitiated.of(payment))
    return payment


async def verify_cash(session: AsyncSession, payment_id: UUID, by: str) -> Payment:
    """A second person has counted the cash: it is ours.

    Raises PaymentNotFound, OnlyCashIsVerified, CashNeedsASecondPerson, PaymentCannotBecome.
    """
    payment = await Payment.locked(session, payment_id)
    rules.check_second_person(payment.method, payment.taken_by, by)
    payment.move("succeeded")
    payment.verified_by = by
    payment.patient_id = await payer_of(session, payment)
    await succeed(session, payment, payment.amount, clock.now())
    return payment


async def _known(session: AsyncSession, recorded: rules.RecordedPayment) -> Payment | None:
    """The payment that has this reference at its facility. Raises as `record_payment`."""
    rules.check_amount(recorded.amount)
    named = [Payment.facility_id == recorded.facility_id, Payment.reference == recorded.reference]
    known = await session.scalar(select(Payment).where(*named))
    if known is not None:
        says = (recorded.invoice_id, recorded.amount, recorded.method)
        if (known.invoice_id, known.amount, known.method) != says:
            raise ReferenceBelongsToAnotherPayment(payment_id=known.payment_id)
    return known


async def _payment(session: AsyncSession, recorded: rules.RecordedPayment) -> Payment:
    await _check_facility(session, recorded)
    payment = Payment.begun(
        recorded.amount,
        invoice_id=recorded.invoice_id,
        patient_id=await surviving_patient(session, recorded.patient_id),
        recorded_for=recorded.patient_id,
        facility_id=recorded.facility_id,
        method=recorded.method,
        capture="automatic",
        reference=recorded.reference,
    )
    session.add(payment)
    return payment


async def _check_facility(session: AsyncSession, recorded: rules.RecordedPayment) -> None:
    invoice = await InvoiceReference.find(session, recorded.invoice_id) if recorded.invoice_id else None
    if invoice is not None and invoice.facility_id != recorded.facility_id:
        raise InvoiceIsOfAnotherFacility(facility_id=recorded.facility_id)
