"""What providers tell us of their own accord."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from broker import Cause, caused_by, clock
from services.payment import rules
from services.payment.commands.disputes import hear_dispute
from services.payment.commands.looks import look_up
from services.payment.commands.outcomes import hear_provider
from services.payment.commands.refunds import hear_refund
from services.payment.providers import Notice, Rumour
from services.payment.tables import Payment, PaymentRefund, PaymentWebhook


async def take_webhook(session: AsyncSession, notice: Notice) -> None:
    """Takes what a provider says, once.

    What is about no payment of ours is kept as ignored: the provider need not send it again.
    """
    payment = await _payment_of(session, notice)
    row = {
        "provider": notice.provider,
        "provider_event_id": notice.event_id,
        "type": notice.type,
        "payment_id": payment.payment_id if payment else notice.payment_id,
        "status": "verified",
        "received_at": clock.now(),
    }
    taken = await session.scalars(insert(PaymentWebhook).values(row).on_conflict_do_nothing().returning(PaymentWebhook))
    webhook = taken.one_or_none()
    if webhook is None:
        return
    webhook.move("applied" if payment and await _hear_in_its_flow(session, payment, notice) else "ignored")


async def _payment_of(session: AsyncSession, notice: Notice) -> Payment | None:
    """The payment that a provider speaks of, if it is one of ours and of that provider."""
    named = Payment.payment_id == notice.payment_id
    if notice.payment_id is None:
        named = Payment.provider_payment_id == notice.provider_payment_id
    return (await session.scalars(select(Payment).where(Payment.provider == notice.provider, named))).one_or_none()


async def _hear_in_its_flow(session: AsyncSession, payment: Payment, notice: Notice) -> bool:
    refund = await session.get(PaymentRefund, notice.refund_id) if notice.refund_id else None
    if refund is not None and refund.payment_id != payment.payment_id:
        refund = None
    with caused_by(Cause(flow=refund.flow if refund and refund.flow else payment.flow)):
        is_news = await _hear(session, payment, refund, notice)
        await session.flush()
    return is_news


async def _hear(session: AsyncSession, payment: Payment, refund: PaymentRefund | None, notice: Notice) -> bool:
    match notice.word:
        case rules.Word() as word:
            return await hear_provider(session, payment.payment_id, word)
        case rules.DisputeWord() as word:
            return await hear_dispute(session, payment.payment_id, word)
        case rules.RefundWord() as word:
            return refund is not None and await hear_refund(session, refund.refund_id, word)
        case Rumour():
            return await look_up(session, await Payment.locked(session, payment.payment_id))
        case None:
            return False
