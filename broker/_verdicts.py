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
from typing import Literal

from sqlalchemy.exc import DBAPIError

from broker._clock import clock
from broker._evidence import Evidence, evidence_of, sqlstate
from broker.errors import Later, Newer, NotYet, Overtaken, Permanent

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


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state a failed message is kept in, what its failure left behind, when it is tried again, and what it waits for."""

    state: State
    evidence: Evidence
    due_at: datetime | None = None
    waits_for: str | None = None
    waits_key: str | None = None

    @property
    def error(self) -> str:
        """The exception's class."""
        return self.evidence.error

    @property
    def reason(self) -> str:
        """Why, in one sentence without personal data."""
        return self.evidence.reason


def is_transient(exception: BaseException) -> bool:
    """Whether nobody is to blame: a deadlock, a serialization failure, a time-out, a lost connection, a lost race."""
    if isinstance(exception, ConnectionError | TimeoutError | Overtaken):
        return True
    code = sqlstate(exception)
    lost = isinstance(exception, DBAPIError) and exception.connection_invalidated
    return lost or code in TRANSIENT_STATES or code.startswith("08")


def classify(exception: BaseException, attempts: int = 1, handler: object = None) -> Verdict:
    """The verdict on a message after `attempts` attempts, the last of which raised `exception` in `handler`."""
    evidence = evidence_of(exception, handler)
    match exception:
        case NotYet():
            return Verdict("waiting", evidence, waits_for=exception.replica.__tablename__, waits_key=exception.key)
        case Newer():
            return Verdict("waiting", evidence, waits_for=NEWER_CODE)
        case Permanent():
            return Verdict("dead", evidence)
        case _ if isinstance(exception, Later) or is_transient(exception) or attempts < MAX_ATTEMPTS:
            return Verdict("retrying", evidence, due_at=clock.now() + pause_after(attempts))
        case _:
            return Verdict("dead", evidence)


def pause_after(attempts: int) -> timedelta:
    """How long a message rests after so many attempts."""
    doublings = min(attempts - 1, 20)
    pause: timedelta = min(FIRST_PAUSE * 2**doublings, LONGEST_PAUSE)
    return pause * random.uniform(0.5, 1.5)  # noqa: S311 (jitter keeps no secret)
