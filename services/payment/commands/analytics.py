"""Counting what came in and went back, in the transaction in which it did."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.money import Money
from services.payment.commands.days import day_at
from services.payment.tables import Payment, PaymentAnalyticsDaily

Counted = Literal["succeeded", "failed", "refunded"]


async def count(session: AsyncSession, what: Counted, payment: Payment, amount: Money, at: datetime) -> None:
    """Adds one of `amount` to the day of the payment's facility."""
    row = {
        "facility_id": payment.facility_id,
        "day": await day_at(session, payment.facility_id, at),
        "method": payment.method,
        "currency": amount.currency,
        what: 1,
        f"{what}_amount": amount.amount,
    }
    day = PaymentAnalyticsDaily.__table__
    statement = insert(PaymentAnalyticsDaily).values(row)
    more = {name: day.c[name] + statement.excluded[name] for name in (what, f"{what}_amount")}
    await session.execute(statement.on_conflict_do_update(index_elements=list(day.primary_key), set_=more))
