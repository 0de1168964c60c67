"""Reference ranges, and what a value means by them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import combinations
from typing import Protocol

from contracts.clinical import Sex
from contracts.lab import Flag
from services.lab.errors import RangeEndsBeforeItBegins, ReferenceRangesOverlap


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Where values are normal, and beyond which they are dangerous; None where there is no limit. Limits belong inside."""

    low: Decimal | None = None
    high: Decimal | None = None
    danger_low: Decimal | None = None
    danger_high: Decimal | None = None


NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenRange:
    """A reference range as it is asked for; `Range` says what the fields mean."""

    sex: Sex | None = None
    age_from: int = 0
    age_to: int | None = None
    limits: Limits = NO_LIMITS


class Range(Protocol):
    """Whom a reference range is for: a sex (None: any), and an age in completed years, from `age_from` to below `age_to`."""

    @property
    def sex(self) -> Sex | None: ...
    @property
    def age_from(self) -> int: ...
    @property
    def age_to(self) -> int | None: ...
    @property
    def limits(self) -> Limits: ...


def age_in_years(born: date, on: date) -> int:
    """Completed years; someone born on 29 February has the birthday on 1 March in other years."""
    return on.year - born.year - ((on.month, on.day) < (born.month, born.day))


def limits_for(ranges: Iterable[Range], *, sex: Sex, age: int) -> Limits:
    """The limits for a patient: the range for their sex before the one for any; none when no range covers them."""
    fitting = [
        range_
        for range_ in ranges
        if range_.sex in (None, sex) and range_.age_from <= age and (range_.age_to is None or age < range_.age_to)
    ]
    best = sorted(fitting, key=lambda range_: range_.sex is None)
    return best[0].limits if best else NO_LIMITS


def check_ranges(ranges: Sequence[Range]) -> None:
    """Whether every patient has one range at most. Raises RangeEndsBeforeItBegins, ReferenceRangesOverlap."""
    for range_ in ranges:
        _check_order(range_.limits.low, range_.limits.high)
        _check_order(range_.limits.danger_low, range_.limits.danger_high)
        _check_order(range_.age_from + 1, range_.age_to)
    for one, other in combinations(ranges, 2):
        if one.sex == other.sex and _begins_within(one, other) | _begins_within(other, one):
            raise ReferenceRangesOverlap


def _check_order(low: Decimal | int | None, high: Decimal | int | None) -> None:
    if low is not None and high is not None and low > high:
        raise RangeEndsBeforeItBegins


def _begins_within(one: Range, other: Range) -> bool:
    return other.age_from <= one.age_from and (other.age_to is None or one.age_from < other.age_to)


def flag_of(value: Decimal, limits: Limits) -> Flag | None:
    """What a value is by its limits: critically or merely below or above, or None for normal.

    A value on a limit is inside it. Reproduces the reference range indicators of CDISC's LB domain.
    """
    if limits.danger_low is not None and value < limits.danger_low:
        return "LL"
    if limits.danger_high is not None and value > limits.danger_high:
        return "HH"
    if limits.low is not None and value < limits.low:
        return "L"
    if limits.high is not None and value > limits.high:
        return "H"
    return None


def flag_of_text(text: str, normal: str | None) -> Flag | None:
    """A text is abnormal when the test says which one is normal, and this is another."""
    return "A" if normal is not None and text.casefold() != normal.casefold() else None


def is_critical(flag: Flag | None) -> bool:
    """Whether somebody must be told at once."""
    return flag in ("LL", "HH")
