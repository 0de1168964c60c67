"""Who may ask a service for what, and how long its answers are kept."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Literal

from contracts.operations import Operation
from services.operations.errors import OneMessageAtATime, OnlyWhoAskedSeesTheAnswer, OperationNeedsAnotherRole, SayWhy

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

LATE = timedelta(minutes=1)
"""What waits longer than this is in trouble."""

FORGOTTEN = timedelta(days=7)
"""How long a copy of a service that fell silent is shown, unless another has taken its place."""

SIGNED_IN_FOR = timedelta(hours=12)
"""How long a browser stays signed in, at most: a shift. Auth ends it earlier where a session is revoked, or not used."""

RequestState = Literal["asked", "answered", "refused"]


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
