"""Recording money that was taken at a desk or has arrived: cash, transfers, an insurer's cheque."""

from __future__ import annotations

from uuid import uuid4

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock, current_cause
from services.payment import rules
from services.payment.commands.outcomes import succeed
from services.payment.commands.patients import surviving_patient
from services.payment.errors import InvoiceIsOfAnotherFacility, ReferenceBelongsToAnotherPayment
from services.payment.replicas import InvoiceReference
from services.payment.tables import Payment


async def record_payment(session: AsyncSession, recorded: rules.RecordedPayment) -> Payment:
    """Notes money that came in; the same reference again gives the payment there is.

    It has happened, so it does not wait for our copy of the invoice, and may be more than is open there.
    Raises AmountMustBeAboveZero, InvoiceIsOfAnotherFacility, ReferenceBelongsToAnotherPayment.
    """
    rules.check_amount(recorded.amount)
    known = await session.scalar(select(Payment).where(Payment.reference == recorded.reference))
    if known is not None:
        return _same(known, recorded)
    await _check_facility(session, recorded)
    now = clock.now()
    payment = Payment(
        payment_id=uuid4(),
        invoice_id=recorded.invoice_id,
        patient_id=await surviving_patient(session, recorded.patient_id),
        facility_id=recorded.facility_id,
        value=recorded.amount.amount,
        currency=recorded.amount.currency,
        method=recorded.method,
        status="processing",
        reference=recorded.reference,
        flow=current_cause().flow,
        initiated_at=now,
    )
    session.add(payment)
    payment.move("succeeded")
    succeed(session, payment, recorded.received_at or now)
    return payment


def _same(known: Payment, recorded: rules.RecordedPayment) -> Payment:
    says = (recorded.invoice_id, recorded.facility_id, recorded.amount, recorded.method)
    if (known.invoice_id, known.facility_id, known.amount, known.method) != says:
        raise ReferenceBelongsToAnotherPayment(payment_id=known.payment_id)
    return known


async def _check_facility(session: AsyncSession, recorded: rules.RecordedPayment) -> None:
    invoice = await InvoiceReference.find(session, recorded.invoice_id) if recorded.invoice_id else None
    if invoice is not None and invoice.facility_id != recorded.facility_id:
        raise InvoiceIsOfAnotherFacility(facility_id=recorded.facility_id)
