"""Looking at the provider's what became of a payment, when its payer decides in their own time."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from broker import call, clock, schedule
from contracts.payment import PaymentCheckDue
from services.payment import outside, rules
from services.payment.providers import LookUp
from services.payment.tables import Payment


async def look_up(session: AsyncSession, payment: Payment) -> bool:
    """Asks the provider what became of a payment; False when it is decided, or the provider has something else to answer."""
    if payment.status != "processing" or payment.is_asked or payment.provider_payment_id is None:
        return False
    names = ("provider", "payment_id", "provider_payment_id")
    asked = LookUp.model_validate({name: getattr(payment, name) for name in names})
    await call(session, outside.look_up, asked, key=payment.payment_id)
    return True


async def look_later(session: AsyncSession, payment_id: UUID, attempt: int) -> None:
    """Will ask the provider, if nothing was heard by then."""
    at = clock.now() + rules.pause_before_look(attempt)
    event = PaymentCheckDue(payment_id=payment_id, attempt=attempt)
    await schedule(session, event, at=at, name=f"check of payment {payment_id}")


async def check_payment(session: AsyncSession, payment_id: UUID, attempt: int) -> None:
    """Asks the provider, again and again until the payment is decided. Raises PaymentNotFound."""
    payment = await Payment.locked(session, payment_id)
    if payment.status == "processing":
        await look_up(session, payment)
        await look_later(session, payment_id, attempt + 1)
