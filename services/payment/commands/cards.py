"""Paying by card, up to the provider's door."""

from __future__ import annotations

from uuid import UUID, uuid4

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import call, clock, current_cause, publish
from contracts.money import Money
from contracts.payment import PaymentCancelled, PaymentInitiated
from services.payment import rules
from services.payment.commands.patients import surviving_patient
from services.payment.outside import Authorisation, authorise_card
from services.payment.replicas import InvoiceReference
from services.payment.tables import CARD_PROVIDER, Payment


async def initiate_card_payment(session: AsyncSession, *, invoice_id: UUID, amount: Money, token: str | None = None) -> Payment:
    """Begins to pay an invoice by card; without a card's `token`, it waits for one.

    Raises NotYet while the invoice is not known here, and what `rules.check_payable` raises.
    """
    invoice = await InvoiceReference.locked(session, invoice_id)
    under_way = await _under_way(session, invoice_id, invoice.currency)
    rules.check_payable(invoice.state, invoice.balance, under_way, amount)
    payment = Payment(
        payment_id=uuid4(),
        invoice_id=invoice_id,
        patient_id=await surviving_patient(session, invoice.patient_id),
        facility_id=invoice.facility_id,
        value=amount.amount,
        currency=amount.currency,
        method="card",
        status="requires_method",
        provider=CARD_PROVIDER,
        flow=current_cause().flow,
        initiated_at=clock.now(),
    )
    session.add(payment)
    publish(session, PaymentInitiated.of(payment))
    if token is not None:
        await _authorise(session, payment, token)
    return payment


async def provide_card(session: AsyncSession, payment_id: UUID, token: str) -> Payment:
    """Gives a payment the card that it waits for. Raises PaymentCannotBecome, PaymentNotFound."""
    payment = await Payment.locked(session, payment_id)
    await _authorise(session, payment, token)
    return payment


async def cancel_payment(session: AsyncSession, payment_id: UUID) -> Payment:
    """Gives a payment up before the provider was asked for the money. Raises PaymentCannotBecome, PaymentNotFound."""
    payment = await Payment.locked(session, payment_id)
    _cancel(session, payment)
    return payment


async def cancel_payments_of(session: AsyncSession, invoice_id: UUID) -> None:
    """Gives up what would pay an invoice that no longer counts."""
    can_be = Payment.status.in_(rules.CANCELLABLE)
    for payment in await Payment.all_locked(session, Payment.invoice_id == invoice_id, can_be):
        _cancel(session, payment)


def _cancel(session: AsyncSession, payment: Payment) -> None:
    payment.move("cancelled")
    publish(session, PaymentCancelled.of(payment))


async def _authorise(session: AsyncSession, payment: Payment, token: str) -> None:
    payment.move("processing")
    asked = Authorisation(payment_id=payment.payment_id, amount=payment.amount, token=token)
    await call(session, authorise_card, asked, key=payment.payment_id)


async def _under_way(session: AsyncSession, invoice_id: UUID, currency: str) -> Money:
    claims = [Payment.invoice_id == invoice_id, Payment.status.in_(rules.UNDER_WAY)]
    claimed = await session.scalar(select(func.coalesce(func.sum(Payment.value), 0)).where(*claims))
    return Money.of(claimed or 0, currency)
