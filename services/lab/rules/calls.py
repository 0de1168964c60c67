"""Critical results: somebody who treats the patient is called and reads the value back.

Source: Joint Commission NPSG.02.03.01 (critical results are reported in time), CLSI GP47 (call, read-back, escalation).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal
from uuid import UUID

from broker import LifeCycle
from services.lab.errors import (
    CallBackCannotBecome,
    CallNamesOneCallee,
    CallPrecedesTheResult,
    ReadBackDoesNotMatch,
)

CALL_WITHIN = timedelta(minutes=30)
"""From release to call."""

ESCALATE_EVERY = timedelta(minutes=30)
MOST_ESCALATIONS = 3
"""After these everybody who stands above has been told."""

HISTORY = timedelta(days=1)
"""A result that was released longer ago when the lab hears of it is taken over from elsewhere: nobody is called."""

CallBackStatus = Literal["due", "overdue", "called", "ended"]

CALL_BACK = LifeCycle[CallBackStatus](
    {
        "due": {"overdue", "called", "ended"},
        "overdue": {"overdue", "called", "ended"},
        # A correction that is critical too is a new thing to say.
        "called": {"due"},
        "ended": {"due"},
    },
    refused=CallBackCannotBecome,
)

CALLS_DONE: frozenset[CallBackStatus] = frozenset({"called", "ended"})
"""In these states nobody waits for a call."""


def call_due_at(resulted_at: datetime, now: datetime) -> datetime | None:
    """Until when a critical result has to be called; None for one that is history."""
    return resulted_at + CALL_WITHIN if now - resulted_at <= HISTORY else None


def is_late(called_at: datetime, resulted_at: datetime) -> bool:
    """Whether a call came after the time in which it was to come."""
    return called_at > resulted_at + CALL_WITHIN


def is_waited_for(status: CallBackStatus, escalations: int) -> bool:
    """Whether it still has to be said when the time to call has passed."""
    return CALL_BACK.allows(status, "overdue") and escalations < MOST_ESCALATIONS


def check_callee(callee_id: UUID | None, callee_role: str | None) -> None:
    """Raises CallNamesOneCallee unless there is either a user or a role."""
    if (callee_id is None) == (callee_role is None):
        raise CallNamesOneCallee


def check_read_back(read_back: Decimal, value: Decimal | None) -> None:
    """Raises ReadBackDoesNotMatch, which names neither value."""
    if read_back != value:
        raise ReadBackDoesNotMatch


def check_called(when: datetime, resulted_at: datetime) -> datetime:
    """Gives `when` back. Raises CallPrecedesTheResult."""
    if when < resulted_at:
        raise CallPrecedesTheResult
    return when
