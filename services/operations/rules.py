"""Who may ask a service for what, and how long its answers are kept."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Literal

from contracts.operations import Operation
from services.operations.errors import (
    AnsweredAlready,
    OneMessageAtATime,
    OnlyWhoAskedSeesTheAnswer,
    OperationNeedsAnotherRole,
    SayWhy,
)

VIEWER, OPERATOR, PRIVACY_OFFICER = "operations_viewer", "operator", "privacy_officer"

HERE = frozenset({VIEWER, OPERATOR, PRIVACY_OFFICER})
"""Who may come in at all, with a role that counts everywhere."""

LOOKING: frozenset[Operation] = frozenset({"show", "try", "trace"})
"""What changes nothing and shows no personal data."""

OF_ONE: frozenset[Operation] = frozenset({"edit", "redirect", "reveal"})
"""What is done to one message at a time."""

MAY: Mapping[Operation, frozenset[str]] = {
    **dict.fromkeys(LOOKING, frozenset({VIEWER, OPERATOR, PRIVACY_OFFICER})),
    **dict.fromkeys(("replay", "discard", "restore", "edit", "redirect", "stop", "resume"), frozenset({OPERATOR})),
    "reveal": frozenset({PRIVACY_OFFICER}),
}
"""The roles that may ask for each operation."""

ANSWERS_KEPT = timedelta(hours=1)
"""How long an answer is kept: it shows how things were, and is asked for again."""

SEEN_WITHIN = timedelta(minutes=1)
"""How long a service has to begin what somebody waits to see."""

DONE_WITHIN = timedelta(minutes=15)
"""How long a service has to begin anything else: what was wanted at night is not done unforeseen in the morning."""

LATE = timedelta(minutes=1)
"""What waits longer than this is in trouble."""

FORGOTTEN = timedelta(days=7)
"""How long a copy of a service that fell silent is shown, unless another has taken its place."""

SIGNED_IN_FOR = timedelta(hours=12)
"""How long a browser stays signed in, at most: a shift. Auth ends it earlier where a session is revoked, or not used."""

RequestState = Literal["asked", "answered", "refused"]


def good_until(operation: Operation, asked_at: datetime) -> datetime:
    """When a service that has not begun with it lets it be."""
    return asked_at + (SEEN_WITHIN if operation in LOOKING or operation == "reveal" else DONE_WITHIN)


def check_may(operation: Operation, roles: Collection[str]) -> None:
    """Raises OperationNeedsAnotherRole."""
    if not MAY[operation] & set(roles):
        raise OperationNeedsAnotherRole(operation=operation, needs=" or ".join(sorted(MAY[operation])))


def check_why(operation: Operation, why: str) -> None:
    """Raises SayWhy."""
    if operation not in LOOKING and not why.strip():
        raise SayWhy(operation=operation)


def check_one(operation: Operation, positions: Collection[int]) -> None:
    """Raises OneMessageAtATime."""
    if operation in OF_ONE and len(positions) != 1:
        raise OneMessageAtATime(operation=operation)


def check_asker(asked_by: str, reads: str) -> None:
    """Raises OnlyWhoAskedSeesTheAnswer."""
    if asked_by != reads:
        raise OnlyWhoAskedSeesTheAnswer


def check_waits(state: RequestState) -> None:
    """Raises AnsweredAlready."""
    if state != "asked":
        raise AnsweredAlready
