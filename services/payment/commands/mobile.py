"""Paying from a phone."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from broker import call
from contracts.money import Money
from services.payment import outside, rules
from services.payment.commands.beginning import begin_payment
from services.payment.providers import MPESA, Prompt
from services.payment.tables import Payment


async def initiate_mobile_payment(session: AsyncSession, *, invoice_id: UUID, amount: Money, phone: str) -> Payment:
    """Begins to pay an invoice by M-Pesa: its payer is asked on their phone.

    Raises MobileMoneyIsPaidInWholeShillings, and as `begin_payment`.
    """
    rules.check_whole_shillings(amount)
    payment = await begin_payment(session, invoice_id, amount, MPESA)
    payment.move("processing")
    asked = Prompt(payment_id=payment.payment_id, amount=amount, phone=phone)
    await call(session, outside.prompt, asked, key=payment.payment_id)
    return payment
