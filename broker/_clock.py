"""Business time: the wall clock, plus a shift that only tests set.

Everything that a rule, a due date or an event's time depends on asks this clock. Sockets, locks, retention and the
back-off inside one attempt do not.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class Clock:
    """The process's business clock; `shift` follows the row in `backbone.clock` of the service's database."""

    def __init__(self) -> None:
        self.shift = timedelta()

    def now(self) -> datetime:
        """Business time, in UTC."""
        return datetime.now(UTC) + self.shift


clock = Clock()
