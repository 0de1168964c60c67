"""Money that goes back: through the provider that it came through, or by hand."""

from __future__ import annotations

from uuid import UUID, uuid4

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import call, clock, current_cause, publish
from contracts.money import Money
from contracts.payment import RefundFailed, RefundSucceeded
from services.payment import outside, rules
from services.payment.commands.analytics import count
from services.payment.commands.patients import surviving_patient
from services.payment.providers import Refund, provider_of
from services.payment.tables import Payment, PaymentDispute, PaymentRefund


async def request_refund(session: AsyncSession, payment_id: UUID, amount: Money, *, reason: str, by: str) -> PaymentRefund:
    """Asks for money to go back: of the provider at once, of a second person where it was not paid through one.

    Raises PaymentNotFound, and what `rules.check_refund` raises.
    """
    payment = await Payment.locked(session, payment_id)
    rules.check_refund(payment.status, await refundable(session, payment), amount)
    refund = PaymentRefund(
        refund_id=uuid4(),
        payment_id=payment_id,
        invoice_id=payment.invoice_id,
        patient_id=await surviving_patient(session, payment.recorded_for),
        facility_id=payment.facility_id,
        value=amount.amount,
        currency=amount.currency,
        status="requested",
        reason=reason,
        provider=_payer_out(payment),
        requested_by=by,
        flow=current_cause().flow,
        requested_at=clock.now(),
    )
    session.add(refund)
    if refund.provider is not None:
        refund.move("pending")
        names = ("provider", "refund_id", "payment_id", "amount")
        asked = {name: getattr(refund, name) for name in names} | {"provider_payment_id": payment.provider_payment_id}
        await call(session, outside.refund, Refund.model_validate(asked), key=payment_id)
    return refund


async def pay_refund_out(session: AsyncSession, refund_id: UUID, by: str) -> PaymentRefund:
    """A second person has given the money back by hand.

    Raises NotFound, ProviderPaysThisRefund, RefundNeedsASecondPerson, RefundCannotBecome.
    """
    refund = await PaymentRefund.locked(session, refund_id)
    rules.check_payer_out(refund.provider, refund.requested_by, by)
    refund.move("pending")
    refund.decided_by = by
    await _become(session, refund, "succeeded", None)
    return refund


async def refuse_refund(session: AsyncSession, refund_id: UUID, by: str) -> PaymentRefund:
    """A second person keeps the money. Raises as `pay_refund_out`."""
    refund = await PaymentRefund.locked(session, refund_id)
    rules.check_payer_out(refund.provider, refund.requested_by, by)
    refund.decided_by = by
    await _become(session, refund, "failed", rules.REFUSED_BY_HAND)
    return refund


async def hear_refund(session: AsyncSession, refund_id: UUID, word: rules.RefundWord) -> bool:
    """Takes a refund as far as the provider says it is; False when that is no news. Raises NotFound."""
    refund = await PaymentRefund.locked(session, refund_id)
    refund.provider_refund_id = word.provider_refund_id or refund.provider_refund_id
    if not rules.REFUND.allows(refund.status, rules.REFUND_STATUS_OF[word.outcome]):
        return False
    await _become(session, refund, rules.REFUND_STATUS_OF[word.outcome], word.failure_code)
    return True


async def refundable(session: AsyncSession, payment: Payment) -> Money:
    """What can still go back of a payment: what was captured, less refunds, less what is disputed or was lost."""
    refund, dispute = PaymentRefund, PaymentDispute
    of_payment = [refund.payment_id == payment.payment_id, refund.status.in_(rules.CLAIMED)]
    refunded = await session.scalar(select(func.sum(refund.value)).where(*of_payment))
    of_payment = [dispute.payment_id == payment.payment_id, dispute.status.in_(rules.NOT_OURS)]
    disputed = await session.scalar(select(func.sum(dispute.value)).where(*of_payment))
    return payment.captured - Money.of((refunded or 0) + (disputed or 0), payment.currency)


def _payer_out(payment: Payment) -> str | None:
    """The provider that a payment's money goes back through; None is a second person."""
    pays = payment.provider is not None and provider_of(payment.provider).pays_refunds
    return payment.provider if pays else None


async def _become(session: AsyncSession, refund: PaymentRefund, status: rules.RefundStatus, failure_code: str | None) -> None:
    refund.move(status)
    refund.failure_code = failure_code
    if status == "succeeded":
        await _succeed(session, refund)
    elif status == "failed":
        publish(session, RefundFailed.of(refund, reason=failure_code or "unknown"))


async def _succeed(session: AsyncSession, refund: PaymentRefund) -> None:
    payment = await Payment.seen(session, refund.payment_id)
    refund.succeeded_at = clock.now()
    refund.patient_id = await surviving_patient(session, payment.recorded_for)
    publish(session, RefundSucceeded.of(refund))
    await count(session, "refunded", payment, refund.amount, refund.succeeded_at)
