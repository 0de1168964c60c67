"""What ties a piece of work to what caused it: carried by a context variable from a request or message to all it publishes."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Cause:
    """The flow that work belongs to (its correlation id), the message that caused it, and the trace it is seen in."""

    flow: UUID
    message: UUID | None = None
    trace: str | None = None


_current: ContextVar[Cause | None] = ContextVar("cause", default=None)


def current_cause() -> Cause:
    """The cause of the work in hand; a new flow when nothing caused it."""
    cause = _current.get()
    if cause is None:
        cause = Cause(flow=uuid7())
        _current.set(cause)
    return cause


def cause_in_hand() -> Cause | None:
    """The cause of the work in hand, if it has one: for who only looks."""
    return _current.get()


@contextmanager
def caused_by(cause: Cause) -> Iterator[Cause]:
    """Everything published inside belongs to `cause`."""
    token = _current.set(cause)
    try:
        yield cause
    finally:
        _current.reset(token)


class _Uuid7:
    """Makes UUIDv7 ids that never run backwards in this process."""

    def __init__(self) -> None:
        self._last = 0
        self._lock = threading.Lock()

    def __call__(self) -> UUID:
        """A UUIDv7 (RFC 9562): ids made later in this process sort later.

        The 12 bits after the milliseconds carry their fraction, so that ids made within one millisecond keep their order.
        """
        with self._lock:
            self._last = now = max(self._last + 1, time.time_ns() * 4096 // 1_000_000)
        milliseconds, fraction = divmod(now, 4096)
        return UUID(int=(milliseconds << 80) | (7 << 76) | (fraction << 64) | (2 << 62) | secrets.randbits(62))


uuid7 = _Uuid7()
