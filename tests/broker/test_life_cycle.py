"""Life cycles: only what is drawn can be done."""

from __future__ import annotations

import pytest

from broker import DeclarationError, LifeCycle, RuleBroken


class DoorCannotBecome(RuleBroken):
    """A door in this state cannot become what is asked."""


DOOR = LifeCycle({"open": {"closed"}, "closed": {"open", "locked"}, "locked": set()}, refused=DoorCannotBecome)


def test_a_move_that_is_drawn() -> None:
    """Gives the state after it."""
    assert DOOR.moved("closed", "locked") == "locked"
    assert DOOR.allows("closed", "open")


@pytest.mark.parametrize(("state", "to"), [("open", "locked"), ("locked", "open"), ("open", "open")])
def test_a_move_that_is_not_drawn(state: str, to: str) -> None:
    """Is refused by the rule's name, which says the state and what was asked; staying is a move too."""
    with pytest.raises(DoorCannotBecome) as refused:
        DOOR.moved(state, to)
    assert refused.value.facts == {"state": state, "asked": to}
    assert not DOOR.allows(state, to)


def test_an_end() -> None:
    """A state from which nothing leads on is the last."""
    assert [state for state in DOOR.moves if DOOR.is_last(state)] == ["locked"]


def test_a_move_to_nowhere() -> None:
    """A state that is only gone to is named when the life cycle is declared."""
    with pytest.raises(DeclarationError, match="no state is named ajar"):
        LifeCycle({"open": {"ajar"}}, refused=DoorCannotBecome)
