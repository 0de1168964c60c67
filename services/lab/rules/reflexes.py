"""Reflex tests: what a result asks to be tested further, such as free thyroxine after a high thyrotropin. Source: CLSI EP33."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from contracts.lab import Flag
from services.lab.errors import ReflexNamesItsOwnTest, ReflexNeedsACondition

AT_LEAST: Mapping[Flag, frozenset[Flag]] = {
    "L": frozenset({"L", "LL"}),
    "LL": frozenset({"LL"}),
    "H": frozenset({"H", "HH"}),
    "HH": frozenset({"HH"}),
    "A": frozenset({"A"}),
}
"""The flags that are a flag, or that and worse."""


class Condition(Protocol):
    """When a further test is needed: for a flag or a worse one on its side, below a value, or above one; any of them counts."""

    @property
    def flag(self) -> Flag | None: ...
    @property
    def below(self) -> Decimal | None: ...
    @property
    def above(self) -> Decimal | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenReflex:
    """A further test as the catalogue is given it; `Condition` says what the limits mean, in the unit of the first test."""

    further_test: str
    flag: Flag | None = None
    below: Decimal | None = None
    above: Decimal | None = None


def check_reflexes(test_code: str, reflexes: Sequence[GivenReflex]) -> None:
    """Raises ReflexNeedsACondition, ReflexNamesItsOwnTest."""
    for reflex in reflexes:
        if reflex.flag is None and reflex.below is None and reflex.above is None:
            raise ReflexNeedsACondition
        if reflex.further_test == test_code:
            raise ReflexNamesItsOwnTest


def asks_for_more(condition: Condition, *, flag: Flag | None, value: Decimal | None) -> bool:
    """Whether a result needs the further test."""
    if condition.flag is not None and flag in AT_LEAST[condition.flag]:
        return True
    if value is None:
        return False
    return (condition.below is not None and value < condition.below) or (
        condition.above is not None and value > condition.above
    )
