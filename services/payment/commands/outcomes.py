"""What came of a payment: said by a provider in an answer or a webhook, however often and in whatever order."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock, publish
from contracts.money import Money
from contracts.payment import PaymentAuthorized, PaymentCancelled, PaymentFailed, PaymentSucceeded
from services.payment import rules
from services.payment.commands.analytics import count
from services.payment.commands.cards import ask_to_capture, ask_to_release
from services.payment.commands.installments import settle_installments
from services.payment.commands.looks import look_later
from services.payment.commands.patients import payer_of
from services.payment.tables import Payment


async def hear_provider(session: AsyncSession, payment_id: UUID, word: rules.Word) -> bool:
    """Takes a payment as far as the provider says it is; False when that is no news. Raises PaymentNotFound."""
    payment = await Payment.locked(session, payment_id)
    if word.outcome in rules.THE_PAYERS_TURN:
        return await _wait_for_payer(session, payment, word)
    if not rules.is_news(payment.status, payment.captured, word):
        return False
    payment.move(rules.STATUS_OF[word.outcome])
    payment.provider_payment_id = word.provider_payment_id or payment.provider_payment_id
    payment.decline_code = word.decline_code
    payment.patient_id = await payer_of(session, payment)
    payment.is_asked = False
    match word.outcome:
        case "authorised":
            await _authorised(session, payment)
        case "partially_captured":
            payment.captured_value = (word.captured or payment.captured).amount
        case "captured":
            await succeed(session, payment, word.captured or payment.amount, clock.now())
        case "declined":
            await fail(session, payment, word.decline_code or "unknown")
        case "cancelled":
            publish(session, PaymentCancelled.of(payment))
    return True


async def hear_answer(session: AsyncSession, payment_id: UUID, word: rules.Word) -> None:
    """Hears what the provider says to a capture or a release: whatever it is, it can be asked again. Raises PaymentNotFound."""
    (await Payment.locked(session, payment_id)).is_asked = False
    await hear_provider(session, payment_id, word)


async def succeed(session: AsyncSession, payment: Payment, captured: Money, at: datetime) -> None:
    """So much of a payment's money is ours since `at`."""
    payment.captured_value = captured.amount
    payment.succeeded_at = at
    publish(session, PaymentSucceeded.of(payment, amount=captured))
    await count(session, "succeeded", payment, captured, at)
    await settle_installments(session, payment)


async def fail(session: AsyncSession, payment: Payment, reason: str) -> None:
    """Nobody paid it; `reason` is the provider's code, or ours."""
    publish(session, PaymentFailed.of(payment, reason=reason))
    await count(session, "failed", payment, payment.amount, clock.now())


async def _wait_for_payer(session: AsyncSession, payment: Payment, word: rules.Word) -> bool:
    """The payer has yet to agree, and is looked at again; or has agreed, and the provider is asked for the money."""
    if not rules.is_payers_turn(payment.status, word, is_asked=payment.is_asked):
        return False
    is_first = payment.provider_payment_id is None and word.provider_payment_id is not None
    payment.provider_payment_id = word.provider_payment_id or payment.provider_payment_id
    if is_first:
        await look_later(session, payment.payment_id, attempt=1)
    if word.outcome == "approved":
        await _approved(session, payment)
    return is_first or word.outcome == "approved"


async def _approved(session: AsyncSession, payment: Payment) -> None:
    if payment.is_unwanted:
        payment.move("cancelled")
        publish(session, PaymentCancelled.of(payment))
    else:
        await ask_to_capture(session, payment, payment.amount, is_final=True)


async def _authorised(session: AsyncSession, payment: Payment) -> None:
    publish(session, PaymentAuthorized.of(payment))
    if payment.is_unwanted:
        await ask_to_release(session, payment)
    elif payment.capture == "automatic":
        await ask_to_capture(session, payment, payment.amount, is_final=True)
