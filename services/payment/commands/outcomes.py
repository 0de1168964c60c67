"""What came of a payment: said by the provider in an answer or a webhook, however often and in whatever order."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from broker import Cause, call, caused_by, clock, publish
from contracts.payment import PaymentAuthorized, PaymentFailed, PaymentSucceeded
from services.payment import rules
from services.payment.commands.patients import surviving_patient
from services.payment.outside import Capture, capture_card
from services.payment.tables import CARD_PROVIDER, Payment, PaymentWebhook


async def hear_provider(session: AsyncSession, payment_id: UUID, word: rules.Word) -> bool:
    """Takes a payment as far as the provider says it is; False when that is no news. Raises PaymentNotFound."""
    payment = await Payment.locked(session, payment_id)
    status = rules.STATUS_OF[word.outcome]
    if not rules.is_news(payment.status, status):
        return False
    payment.move(status)
    payment.provider_payment_id = word.provider_payment_id
    payment.decline_code = word.decline_code
    payment.patient_id = await surviving_patient(session, payment.patient_id)
    match word.outcome:
        case "authorised":
            await _capture(session, payment, word.provider_payment_id)
        case "captured":
            succeed(session, payment, clock.now())
        case "declined":
            publish(session, PaymentFailed.of(payment, reason=word.decline_code or "unknown"))
    return True


async def take_webhook(session: AsyncSession, event_id: str, type_: str, payment_id: UUID, word: rules.Word | None) -> None:
    """Takes a genuine event of the card provider, once; `word` is None when it says nothing about a payment's state.

    One that is about no payment of ours is kept as ignored: the provider need not send it again.
    """
    row = {
        "provider": CARD_PROVIDER,
        "provider_event_id": event_id,
        "type": type_,
        "payment_id": payment_id,
        "status": "verified",
        "received_at": clock.now(),
    }
    taken = await session.scalars(insert(PaymentWebhook).values(row).on_conflict_do_nothing().returning(PaymentWebhook))
    webhook = taken.one_or_none()
    if webhook is None:
        return
    known = await session.get(Payment, payment_id)
    is_news = known is not None and word is not None and await _hear_in_its_flow(session, known, word)
    webhook.move("applied" if is_news else "ignored")


def succeed(session: AsyncSession, payment: Payment, at: datetime) -> None:
    """The money is ours since `at`."""
    payment.succeeded_at = at
    publish(session, PaymentSucceeded.of(payment))


async def _hear_in_its_flow(session: AsyncSession, payment: Payment, word: rules.Word) -> bool:
    with caused_by(Cause(flow=payment.flow)):
        is_news = await hear_provider(session, payment.payment_id, word)
        await session.flush()
    return is_news


async def _capture(session: AsyncSession, payment: Payment, provider_payment_id: str) -> None:
    publish(session, PaymentAuthorized.of(payment))
    asked = Capture(payment_id=payment.payment_id, provider_payment_id=provider_payment_id)
    await call(session, capture_card, asked, key=payment.payment_id)
