"""Mobile money: what can be asked for on a payer's phone, and when to ask what became of it."""

from __future__ import annotations

from datetime import timedelta

from contracts.money import Money
from services.payment.errors import MobileMoneyIsPaidInWholeShillings

SHILLING = "KES"

FIRST_LOOK = timedelta(minutes=2)
"""A prompt on a phone is over after about one minute."""

LONGEST_PAUSE = timedelta(hours=1)


def check_whole_shillings(amount: Money) -> None:
    """Raises MobileMoneyIsPaidInWholeShillings: M-Pesa takes no cents, and no other currency."""
    if amount.currency != SHILLING or amount.amount % 1:
        raise MobileMoneyIsPaidInWholeShillings


def pause_before_look(attempt: int) -> timedelta:
    """How long to wait before a provider is asked for the 1st, 2nd, 3rd, … time what became of a payment."""
    return min(FIRST_LOOK * (1 << min(attempt - 1, 16)), LONGEST_PAUSE)
