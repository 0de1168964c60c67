"""Life cycles: which states there are, and which moves between them are allowed. Anything else is refused by name.

ORDER = LifeCycle[OrderStatus](
    {"draft": {"ordered", "cancelled"}, "ordered": {"completed", "cancelled"}, "completed": set(), "cancelled": set()},
    refused=OrderCannotBecome,
)
order.status = ORDER.moved(order.status, "completed")
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Generic, TypeVar

from broker.errors import DeclarationError, RuleBroken

State = TypeVar("State", bound=str)


class LifeCycle(Generic[State]):
    """The states of something, each with those it can move to; no move to the state it is in, unless it says so.

    refused: the rule that a forbidden move breaks; its members name the state and what was asked.
    Raises DeclarationError for a move to a state that is none.
    """

    def __init__(self, moves: Mapping[State, Collection[State]], *, refused: type[RuleBroken]) -> None:
        self.moves: Mapping[State, frozenset[State]] = {state: frozenset(targets) for state, targets in moves.items()}
        self.refused = refused
        unknown = {target for targets in self.moves.values() for target in targets} - self.moves.keys()
        if unknown:
            raise DeclarationError(f"{refused.__name__}: no state is named {', '.join(sorted(unknown))}")

    def moved(self, state: State, to: State) -> State:
        """The state after the move. Raises the rule."""
        if not self.allows(state, to):
            raise self.refused(state=state, asked=to)
        return to

    def allows(self, state: State, to: State) -> bool:
        """Whether this move is one."""
        return to in self.moves[state]

    def is_last(self, state: State) -> bool:
        """Whether nothing follows."""
        return not self.moves[state]
