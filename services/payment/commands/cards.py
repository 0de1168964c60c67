"""Paying through a provider: up to its door, and what is asked of it after that."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from broker import call, publish
from contracts.money import Money
from contracts.payment import PaymentCancelled
from services.payment import outside, rules
from services.payment.commands.beginning import authorise, begin_payment
from services.payment.providers import CARD, Capture, Release
from services.payment.tables import Payment


async def initiate_card_payment(
    session: AsyncSession,
    *,
    invoice_id: UUID,
    amount: Money,
    token: str | None = None,
    capture: rules.CaptureMode = "automatic",
) -> Payment:
    """Begins to pay an invoice by card; without a card's `token`, it waits for one.

    Raises as `begin_payment`.
    """
    payment = await begin_payment(session, invoice_id, amount, CARD, capture=capture)
    if token is not None:
        await authorise(session, payment, token)
    return payment


async def provide_card(session: AsyncSession, payment_id: UUID, token: str) -> Payment:
    """Gives a payment the card that it waits for. Raises PaymentCannotBecome, PaymentNotFound."""
    payment = await Payment.locked(session, payment_id)
    rules.check_takes_a_card(payment.status)
    await authorise(session, payment, token)
    return payment


async def capture_payment(
    session: AsyncSession, payment_id: UUID, amount: Money | None = None, *, is_final: bool = True
) -> Payment:
    """Asks the provider for what it holds, or for a part of it; a final capture releases the rest.

    Raises PaymentNotFound, and what `rules.check_held` and `rules.check_capture` raise.
    """
    payment = await Payment.locked(session, payment_id)
    rules.check_held(payment.status, is_asked=payment.is_asked)
    rules.check_capture(amount or payment.uncaptured, payment.uncaptured)
    await ask_to_capture(session, payment, amount or payment.uncaptured, is_final=is_final)
    return payment


async def cancel_payment(session: AsyncSession, payment_id: UUID, by: str) -> Payment:
    """Gives a payment up: at once, or by asking the provider to release what it holds; cash is given back by a second person.

    Of a payment that was captured in part, what was captured stays.
    Raises PaymentNotFound, PaymentCannotBecome, CashNeedsASecondPerson, CaptureIsUnderWay.
    """
    payment = await Payment.locked(session, payment_id)
    rules.check_given_up(payment.status)
    if payment.taken_by is not None:
        rules.check_second_person(payment.method, payment.taken_by, by)
    if payment.status in rules.HELD:
        rules.check_held(payment.status, is_asked=payment.is_asked)
        await ask_to_release(session, payment)
    else:
        _cancel(session, payment)
    return payment


async def cancel_payments_of(session: AsyncSession, invoice_id: UUID) -> None:
    """Gives up what would pay an invoice that no longer counts. What is captured, and cash in the till, is money on account."""
    of_invoice = [Payment.invoice_id == invoice_id, Payment.provider.is_not(None)]
    for payment in await Payment.all_locked(session, *of_invoice, Payment.status.in_(rules.UNDER_WAY)):
        if payment.status in rules.NOT_ASKED_FOR:
            _cancel(session, payment)
        elif payment.status == "processing":
            payment.is_unwanted = True
        elif not payment.is_asked:
            await ask_to_release(session, payment)


async def ask_to_capture(session: AsyncSession, payment: Payment, amount: Money, *, is_final: bool) -> None:
    """Asks the provider to take what it holds."""
    payment.is_asked = True
    asked = Capture.model_validate({**_held_by(payment), "amount": amount, "is_final": is_final})
    await call(session, outside.capture, asked, key=payment.payment_id)


async def ask_to_release(session: AsyncSession, payment: Payment) -> None:
    """Asks the provider to take no more of what it holds."""
    payment.is_asked = True
    await call(session, outside.release, Release.model_validate(_held_by(payment)), key=payment.payment_id)


def _held_by(payment: Payment) -> dict[str, object]:
    names = ("provider", "payment_id", "provider_payment_id")
    return {name: getattr(payment, name) for name in names}


def _cancel(session: AsyncSession, payment: Payment) -> None:
    payment.move("cancelled")
    publish(session, PaymentCancelled.of(payment))
