"""What an exception leaves behind for a person: its class, a sentence, the way it came, and a fingerprint that groups.

Nothing here holds a value that was in a message or a row: names of rules, fields, constraints and places in the code only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from inspect import unwrap
from traceback import walk_tb
from types import CodeType
from typing import Any

from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError

from broker.errors import Failure

BACKBONE = __name__.partition(".")[0]

MAX_REASON = 500
"""Characters of a kept reason, at most."""

MAX_FRAMES = 100
"""Frames of a kept stack, at most: those nearest to where it was raised."""

HELD = "Held"
"""In place of an exception's class: the message lies behind another."""

FOREIGN = "Foreign"
"""In place of an exception's class that came from elsewhere and is none."""

PATH = r"[\w.<>]+"
PLACE = rf"(?: in {PATH} \({PATH}, line \d+\))?"
NAME = re.compile(PATH)
FINGERPRINT = re.compile(rf"{PATH}(?: in {PATH})?")
STACK = re.compile(rf"{PATH}|  {PATH}, line \d+|caused by")
FORMS = re.compile(
    rf"{PATH}(?: on \w+)?(?: of \w+)?(?: \(PostgreSQL \w+\))?{PLACE}|"
    rf"{PATH} does not validate: {PATH} \w+(?:, {PATH} \w+)*{PLACE}"
)
"""What `reason_of` says of exceptions that are not failures of our own."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is kept of an exception: its class, a sentence, where it came through, and what groups it (`fingerprint_of`)."""

    error: str
    reason: str
    stack: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class _Frame:
    module: str
    code: CodeType
    line: int

    @property
    def place(self) -> str:
        return f"{self.module}.{self.code.co_qualname}"

    @property
    def is_library(self) -> bool:
        return "site-packages" in self.code.co_filename


def evidence_of(exception: BaseException, handler: object = None) -> Evidence:
    """All of it. `handler` is what was called: its package is "our own code" (see `fingerprint_of`)."""
    return Evidence(
        type(exception).__name__, reason_of(exception), stack_of(exception), fingerprint_of(exception, package_of(handler))
    )


def package_of(handler: object) -> str:
    """The outermost package that a handler was written in."""
    names = getattr(unwrap(handler) if callable(handler) else handler, "__globals__", {})
    return str(names.get("__name__", BACKBONE)).partition(".")[0]


def fingerprint_of(exception: BaseException, package: str = BACKBONE) -> str:
    """What groups the messages that failed for one reason: `SampleIsLabelled in services.lab.rules.samples.check_label`.

    It is the exception's class and the first frame, from where it was raised outwards, in `package`: that of the handler;
    else in the backbone. No line number, no sentence, no value: it stays the same when a file grows, and for every message.
    """
    for own in (package, BACKBONE):
        for frame in reversed(list(_frames(exception))):
            if frame.module.partition(".")[0] == own:
                return f"{_cause(exception)} in {frame.place}"
    return _cause(exception)


def stack_of(exception: BaseException) -> str:
    """Where the exception came through, innermost last, and what it was caused by: places in the code and classes alone."""
    parts: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = exception
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        frames = [f"  {frame.place}, line {frame.line}" for frame in _frames(current)][-MAX_FRAMES:]
        parts.append("\n".join([*frames, type(current).__qualname__]))
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return "\ncaused by\n".join(parts)


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
        reason += _place(exception)
    return reason.replace("\0", "\N{REPLACEMENT CHARACTER}")[:MAX_REASON]


def believed(claimed: Evidence) -> Evidence:
    """Evidence that came from elsewhere, as far as it is what an exception leaves behind here.

    As of an exception's own (`reason_of`), only the sentence of a failure that this code knows is taken over; of any other what
    has the form of names of rules, fields, constraints and places in the code.
    """
    error = claimed.error if NAME.fullmatch(claimed.error) else FOREIGN
    own = {failure.__name__ for failure in _below(Failure)} | {HELD}
    is_ours = claimed.error in own or FORMS.fullmatch(claimed.reason)
    reason = claimed.reason[:MAX_REASON] if is_ours else f"{error}: what was said of it elsewhere is not kept"
    stack = "\n".join(line if STACK.fullmatch(line) else "…" for line in claimed.stack.splitlines())
    return Evidence(error, reason, stack, claimed.fingerprint if FINGERPRINT.fullmatch(claimed.fingerprint) else error)


def _below(failure: type[Failure]) -> Iterator[type[Failure]]:
    yield failure
    for each in failure.__subclasses__():
        yield from _below(each)


def invalid_fields(invalid: ValidationError) -> str:
    """The fields that did not validate and the kind of each error: `amount.currency missing, lines.0.price int_type`."""
    errors = invalid.errors(include_url=False, include_context=False, include_input=False)
    return ", ".join(f"{'.'.join(map(str, error['loc'])) or 'body'} {error['type']}" for error in errors)


def sqlstate(exception: BaseException) -> str:
    """PostgreSQL's five-character code, from SQLAlchemy or (while connecting) from asyncpg; empty when there is none."""
    raised = exception.orig if isinstance(exception, DBAPIError) else exception
    return getattr(raised, "sqlstate", None) or ""


def _frames(exception: BaseException) -> Iterator[_Frame]:
    for frame, line in walk_tb(exception.__traceback__):
        yield _Frame(frame.f_globals.get("__name__", "?"), frame.f_code, line)


def _cause(exception: BaseException) -> str:
    """The exception's class; of the database's, the driver's, which tells a broken constraint from another."""
    return type(_from_driver(exception)).__name__


def _from_driver(exception: BaseException) -> BaseException:
    if not isinstance(exception, DBAPIError):
        return exception
    raised: Any = getattr(exception.orig, "__cause__", None)
    return raised or exception.orig or exception


def _database_reason(exception: DBAPIError) -> str:
    raised = _from_driver(exception)
    constraint = getattr(raised, "constraint_name", None)
    table = getattr(raised, "table_name", None)
    where = f" of {table}" if table else ""
    what = f" on {constraint}{where}" if constraint else where
    return f"{type(raised).__name__}{what} (PostgreSQL {sqlstate(exception) or 'connection'})"


def _place(exception: BaseException) -> str:
    """Where in our code it was raised: the innermost frame that is not a library's."""
    own = [frame for frame in _frames(exception) if not frame.is_library]
    return f" in {own[-1].code.co_name} ({own[-1].module}, line {own[-1].line})" if own else ""
