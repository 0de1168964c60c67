"""How every payment through a provider begins, and how it is asked for."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from sqlalchemy import ColumnElement, SQLColumnExpression, case, false, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import call, publish
from contracts.money import Money
from contracts.payment import PaymentInitiated
from services.payment import outside, rules
from services.payment.commands.patients import surviving_patient
from services.payment.providers import Authorisation, provider_of
from services.payment.replicas import InvoiceReference
from services.payment.tables import Payment


async def begin_payment(
    session: AsyncSession, invoice_id: UUID, amount: Money, provider: str, *, capture: rules.CaptureMode = "automatic"
) -> Payment:
    """Begins to pay an invoice through a provider.

    Raises NotYet while the invoice is not known here, and what `rules.check_payable` raises.
    """
    invoice = await InvoiceReference.locked(session, invoice_id)
    rules.check_payable(invoice.state, invoice.balance, await under_way(session, invoice), amount)
    payment = Payment.begun(
        amount,
        invoice_id=invoice_id,
        patient_id=await surviving_patient(session, invoice.patient_id),
        recorded_for=invoice.patient_id,
        facility_id=invoice.facility_id,
        method=provider_of(provider).method,
        capture=capture,
        provider=provider,
    )
    session.add(payment)
    publish(session, PaymentInitiated.of(payment))
    return payment


async def under_way(session: AsyncSession, invoice: InvoiceReference) -> Money:
    """What is already being paid of an invoice, or was and is not in its balance yet."""
    is_paid = Payment.status == "succeeded"
    claims = Payment.status.in_(rules.UNDER_WAY) | _is_unheard(invoice)
    return await _claimed(session, invoice, claims, case((is_paid, Payment.captured_value), else_=Payment.value))


async def unheard(session: AsyncSession, invoice: InvoiceReference) -> Money:
    """What was paid of an invoice and is not in its balance yet."""
    return await _claimed(session, invoice, _is_unheard(invoice), Payment.captured_value)


async def authorise(session: AsyncSession, payment: Payment, token: str | None) -> None:
    """Asks the provider for the money, or to open what its payer then agrees to. Raises PaymentCannotBecome."""
    payment.move("processing")
    names = ("provider", "payment_id", "facility_id", "amount")
    asked = Authorisation.model_validate({name: getattr(payment, name) for name in names} | {"token": token})
    await call(session, outside.authorise, asked, key=payment.payment_id)


def _is_unheard(invoice: InvoiceReference) -> ColumnElement[bool]:
    """The payments that succeeded and that the invoice's balance does not take into account, as far as billing says which."""
    if invoice.payments is None:
        return false()
    return (Payment.status == "succeeded") & Payment.payment_id.not_in(invoice.payments)


async def _claimed(
    session: AsyncSession, invoice: InvoiceReference, claims: ColumnElement[bool], claim: SQLColumnExpression[Decimal]
) -> Money:
    of_invoice = [Payment.invoice_id == invoice.id, Payment.currency == invoice.currency, claims]
    return Money.of(await session.scalar(select(func.sum(claim)).where(*of_invoice)) or 0, invoice.currency)
