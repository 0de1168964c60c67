"""Who may ask for what."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import get_args

import pytest

from contracts.operations import Operation
from services.operations import rules
from services.operations.errors import (
    AnsweredAlready,
    OneMessageAtATime,
    OnlyWhoAskedSeesTheAnswer,
    OperationNeedsAnotherRole,
    SayWhy,
)
from services.operations.rules import RequestState

OPERATIONS: tuple[Operation, ...] = get_args(Operation)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_roles(operation: Operation) -> None:
    """Viewers look and try, operators act too, and only privacy officers see personal data; nobody else does anything."""
    may = {
        role
        for role in (rules.VIEWER, rules.OPERATOR, rules.PRIVACY_OFFICER, "clinician", "administrator")
        if _passes(operation, role)
    }
    if operation in rules.LOOKING:
        assert may == {rules.VIEWER, rules.OPERATOR, rules.PRIVACY_OFFICER}
    else:
        assert may == {rules.PRIVACY_OFFICER if operation == "reveal" else rules.OPERATOR}


def _passes(operation: Operation, role: str) -> bool:
    try:
        rules.check_may(operation, [role])
    except OperationNeedsAnotherRole:
        return False
    return True


@pytest.mark.parametrize("operation", sorted(set(OPERATIONS) - rules.LOOKING))
def test_whoever_changes_something_says_why(operation: Operation) -> None:
    """A blank is no reason."""
    with pytest.raises(SayWhy):
        rules.check_why(operation, " ")
    rules.check_why(operation, "the price list is repaired")


def test_one_message_at_a_time() -> None:
    """What is about one message names exactly one."""
    for operation in rules.OF_ONE:
        for positions in ([], [1, 2]):
            with pytest.raises(OneMessageAtATime):
                rules.check_one(operation, positions)
        rules.check_one(operation, [1])
    rules.check_one("replay", [])


def test_an_answer_is_for_whoever_asked() -> None:
    """Nobody else reads it."""
    rules.check_asker("amani", "amani")
    with pytest.raises(OnlyWhoAskedSeesTheAnswer):
        rules.check_asker("amani", "baraka")


def test_what_waits_can_be_withdrawn() -> None:
    """What is answered cannot."""
    rules.check_waits("asked")
    ended: tuple[RequestState, ...] = ("answered", "refused")
    for state in ended:
        with pytest.raises(AnsweredAlready):
            rules.check_waits(state)


def test_how_long_a_request_is_good() -> None:
    """What somebody waits to see is for a minute, what changes something for a while."""
    at = datetime(2026, 3, 1, 3, tzinfo=UTC)
    assert rules.good_until("show", at) == rules.good_until("reveal", at) == at + rules.SEEN_WITHIN
    assert rules.good_until("replay", at) == at + rules.DONE_WITHIN
