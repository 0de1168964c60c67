"""Lost payments: what one person finds in the provider's books, and another confirms."""

from __future__ import annotations

from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import NotFound, clock
from contracts.money import Money
from services.payment import rules
from services.payment.commands.looks import look_later, look_up
from services.payment.commands.outcomes import fail
from services.payment.errors import PaymentIsTracedAlready, TraceNamesAnotherPayment
from services.payment.providers import provider_of
from services.payment.tables import Payment, PaymentTrace


async def trace_payment(session: AsyncSession, payment_id: UUID, found: tuple[str, Money] | None, *, by: str) -> PaymentTrace:
    """Notes what somebody found of a lost payment: what the provider calls it and how much it is; None is that nobody paid.

    Raises PaymentNotFound, OnlyALostPaymentIsTraced, PaymentIsTracedAlready, TraceIsOfAnotherAmount, TraceNamesAnotherPayment,
    LostPaymentMayStillBePaid.
    """
    payment = await _lost(session, payment_id)
    if await PaymentTrace.undecided(session, payment_id) is not None:
        raise PaymentIsTracedAlready
    if found is None:
        rules.check_unpaid(payment.initiated_at, clock.now())
    else:
        provider_payment_id, amount = found
        rules.check_found(amount, payment.amount)
        await _check_unused(session, payment, provider_payment_id)
    trace = PaymentTrace(
        trace_id=uuid4(),
        payment_id=payment_id,
        facility_id=payment.facility_id,
        provider_payment_id=None if found is None else found[0],
        status="found",
        traced_by=by,
        traced_at=clock.now(),
    )
    session.add(trace)
    return trace


async def confirm_trace(session: AsyncSession, payment_id: UUID, by: str) -> PaymentTrace:
    """A second person has found the same: the provider is asked about what it is called there, or the payment has failed.

    Raises PaymentNotFound, NotFound, TraceNeedsASecondPerson, OnlyALostPaymentIsTraced, TraceNamesAnotherPayment.
    """
    payment = await _lost(session, payment_id)
    trace = await _undecided(session, payment_id)
    rules.check_confirmed_by(trace.traced_by, by)
    _decide(trace, "confirmed", by)
    if trace.provider_payment_id is None:
        payment.move("failed")
        payment.decline_code = rules.NOT_PAID
        await fail(session, payment, rules.NOT_PAID)
    else:
        await _check_unused(session, payment, trace.provider_payment_id)
        payment.provider_payment_id = trace.provider_payment_id
        await look_up(session, payment)
        await look_later(session, payment_id, attempt=1)
    return trace


async def refuse_trace(session: AsyncSession, payment_id: UUID, by: str) -> PaymentTrace:
    """It was wrong, or the provider's answer has come after all. Raises NotFound."""
    trace = await _undecided(session, payment_id)
    _decide(trace, "refused", by)
    return trace


async def _lost(session: AsyncSession, payment_id: UUID) -> Payment:
    payment = await Payment.locked(session, payment_id)
    is_asked_by_key = payment.provider is None or provider_of(payment.provider).is_asked_by_key
    rules.check_lost(payment.status, payment.provider_payment_id, is_asked_by_key=is_asked_by_key)
    return payment


async def _undecided(session: AsyncSession, payment_id: UUID) -> PaymentTrace:
    trace = await PaymentTrace.undecided(session, payment_id)
    if trace is None:
        raise NotFound
    return trace


async def _check_unused(session: AsyncSession, payment: Payment, provider_payment_id: str) -> None:
    known = [Payment.provider == payment.provider, Payment.provider_payment_id == provider_payment_id]
    if await session.scalar(select(Payment.payment_id).where(*known)) is not None:
        raise TraceNamesAnotherPayment


def _decide(trace: PaymentTrace, status: rules.TraceStatus, by: str) -> None:
    trace.move(status)
    trace.decided_by, trace.decided_at = by, clock.now()
