"""Paying from a wallet."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from contracts.money import Money
from services.payment.commands.beginning import authorise, begin_payment
from services.payment.providers import PAYPAL
from services.payment.tables import Payment


async def initiate_wallet_payment(session: AsyncSession, *, invoice_id: UUID, amount: Money) -> Payment:
    """Begins to pay an invoice by PayPal: an order is opened, which its payer then approves. Raises as `begin_payment`."""
    payment = await begin_payment(session, invoice_id, amount, PAYPAL)
    await authorise(session, payment, token=None)
    return payment
