"""Lost payments: the provider was asked, its answer was lost, and it gave nothing to ask it about."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from broker import LifeCycle
from contracts.money import Money
from contracts.payment import PaymentStatus
from services.payment.errors import (
    LostPaymentMayStillBePaid,
    OnlyALostPaymentIsTraced,
    TraceCannotBecome,
    TraceIsOfAnotherAmount,
    TraceNeedsASecondPerson,
)

TraceStatus = Literal["found", "confirmed", "refused"]

TRACE = LifeCycle[TraceStatus](
    {"found": {"confirmed", "refused"}, "confirmed": set(), "refused": set()}, refused=TraceCannotBecome
)
"""What one person found out takes effect when another confirms it."""

UNPAID_AFTER = timedelta(days=1)
"""How long after it began a lost payment may be said not to be paid: a prompt is answered, and booked, long before that."""

NOT_PAID = "not_paid"
"""The reason of a lost payment that two people found not to be paid."""


def check_lost(status: PaymentStatus, provider_payment_id: str | None, *, is_asked_by_key: bool) -> None:
    """is_asked_by_key: its provider can be asked all the same. Raises OnlyALostPaymentIsTraced."""
    if status != "processing" or provider_payment_id is not None or is_asked_by_key:
        raise OnlyALostPaymentIsTraced(state=status)


def check_found(found: Money, asked: Money) -> None:
    """Raises TraceIsOfAnotherAmount."""
    if found != asked:
        raise TraceIsOfAnotherAmount(asked=asked)


def check_unpaid(begun_at: datetime, now: datetime) -> None:
    """Raises LostPaymentMayStillBePaid."""
    if now < begun_at + UNPAID_AFTER:
        raise LostPaymentMayStillBePaid(until=begun_at + UNPAID_AFTER)


def check_confirmed_by(traced_by: str, confirmed_by: str) -> None:
    """Four eyes. Raises TraceNeedsASecondPerson."""
    if traced_by == confirmed_by:
        raise TraceNeedsASecondPerson
