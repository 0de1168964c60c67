"""What happens to a message whose handling raised: told by the exception's type, with a rule for everything else.

| raised | then |
|---|---|
| lock, serialization, time-out, connection | nobody is to blame: tried again, as with Later |
| Later | tried again with growing pauses, without end |
| NotYet | waits for a replica's row, without a timer |
| Newer | waits for code that knows it |
| Permanent, RuleBroken | dead at once |
| anything else | tried again with growing pauses, MAX_ATTEMPTS times in all, then dead |
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import Literal

from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError

from broker._clock import clock
from broker.errors import Failure, Later, Newer, NotYet, Overtaken, Permanent

State = Literal["retrying", "waiting", "held", "dead"]

FIRST_PAUSE = timedelta(seconds=1)
"""The pause before the second attempt; each later one is twice as long. All of them vary by half, so that crowds disperse."""

LONGEST_PAUSE = timedelta(minutes=15)
"""No pause is longer (but for the jitter): what heals is noticed within this time."""

MAX_ATTEMPTS = 10
"""Attempts that an unexpected exception is given: about 9 minutes. More hides a defect, fewer calls for people in vain."""

NEWER_CODE = "newer code"
"""What a message waits for that this code is too old for. Not a name that a replica's table can have by accident."""

TRANSIENT_STATES = frozenset({"40001", "40P01", "55P03", "57014", "57P01", "57P02", "57P03", "25P03", "53300"})
"""PostgreSQL's codes for serialization failure, deadlock, lock not available, cancelled by a time-out, shut down, restarted,
not yet started, idle in transaction too long, too many connections. Source: PostgreSQL documentation, appendix A."""

MAX_REASON = 500
"""Characters of a kept reason, at most."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state a failed message is kept in, when it is tried again, what it waits for, and why, without personal data."""

    state: State
    error: str
    reason: str
    due_at: datetime | None = None
    waits_for: str | None = None
    waits_key: str | None = None


def is_transient(exception: BaseException) -> bool:
    """Whether nobody is to blame: a deadlock, a serialization failure, a time-out, a lost connection, a lost race."""
    if isinstance(exception, ConnectionError | TimeoutError | Overtaken):
        return True
    code = sqlstate(exception)
    lost = isinstance(exception, DBAPIError) and exception.connection_invalidated
    return lost or code in TRANSIENT_STATES or code.startswith("08")


def sqlstate(exception: BaseException) -> str:
    """PostgreSQL's five-character code, from SQLAlchemy or (while connecting) from asyncpg; empty when there is none."""
    raised = exception.orig if isinstance(exception, DBAPIError) else exception
    return getattr(raised, "sqlstate", None) or ""


def classify(exception: BaseException, attempts: int = 1) -> Verdict:
    """The verdict on a message after `attempts` attempts, the last of which raised `exception`."""
    error, reason = type(exception).__name__, reason_of(exception)
    match exception:
        case NotYet():
            return Verdict("waiting", error, reason, waits_for=exception.replica.__tablename__, waits_key=exception.key)
        case Newer():
            return Verdict("waiting", error, reason, waits_for=NEWER_CODE)
        case Permanent():
            return Verdict("dead", error, reason)
        case _ if isinstance(exception, Later) or is_transient(exception) or attempts < MAX_ATTEMPTS:
            return Verdict("retrying", error, reason, due_at=clock.now() + pause_after(attempts))
        case _:
            return Verdict("dead", error, reason)


def pause_after(attempts: int) -> timedelta:
    """How long a message rests after so many attempts."""
    doublings = min(attempts - 1, 20)
    pause: timedelta = min(FIRST_PAUSE * 2**doublings, LONGEST_PAUSE)
    return pause * random.uniform(0.5, 1.5)  # noqa: S311 (jitter keeps no secret)


def reason_of(exception: BaseException) -> str:
    """One sentence that may be shown to anybody: names of rules, fields, constraints and places in the code, never values.

    Only the texts of our own failures are taken over, since their authors were told so; any other text may hold a value.
    """
    if isinstance(exception, Failure):
        reason = str(exception)
    elif isinstance(exception, ValidationError):
        reason = f"{exception.title} does not validate: {invalid_fields(exception)}"
    elif isinstance(exception, DBAPIError):
        reason = _database_reason(exception)
    else:
        reason = type(exception).__name__
    if not isinstance(exception, Failure):
        reason += _place(exception.__traceback__)
    return reason.replace("\0", "\N{REPLACEMENT CHARACTER}")[:MAX_REASON]


def invalid_fields(invalid: ValidationError) -> str:
    """The fields that did not validate and the kind of each error: `amount.currency missing, lines.0.price int_type`."""
    errors = invalid.errors(include_url=False, include_context=False, include_input=False)
    return ", ".join(f"{'.'.join(map(str, error['loc'])) or 'body'} {error['type']}" for error in errors)


def _database_reason(exception: DBAPIError) -> str:
    raised = getattr(exception.orig, "__cause__", None)
    constraint = getattr(raised, "constraint_name", None)
    table = getattr(raised, "table_name", None)
    where = f" of {table}" if table else ""
    what = f" on {constraint}{where}" if constraint else where
    return f"{type(raised or exception.orig).__name__}{what} (PostgreSQL {sqlstate(exception) or 'connection'})"


def _place(trace: TracebackType | None) -> str:
    """Where in our code it was raised: the innermost frame that is not a library's."""
    found = ""
    while trace is not None:
        module = trace.tb_frame.f_globals.get("__name__", "")
        if "site-packages" not in trace.tb_frame.f_code.co_filename:
            found = f" in {trace.tb_frame.f_code.co_name} ({module}, line {trace.tb_lineno})"
        trace = trace.tb_next
    return found
