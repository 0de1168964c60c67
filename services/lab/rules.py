"""What the lab decides without asking anybody: states, reference ranges, flags, labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import combinations
from typing import Literal, Protocol

from contracts.clinical import Sex
from contracts.lab import Flag
from services.lab.errors import (
    CorrectionChangesNothing,
    OrderCannotBecome,
    OrderHasResultsAlready,
    RangeEndsBeforeItBegins,
    ReferenceRangesOverlap,
    ResultCannotBecome,
    ResultHasOneValue,
    SampleCannotBecome,
    SampleLabelDoesNotMatchThePatient,
    SampleNeedsTwoIdentifiers,
    TimeIsInTheFuture,
)

OrderStatus = Literal["draft", "ordered", "collected", "in_process", "partial", "completed", "on_hold", "cancelled"]
SampleStatus = Literal["collected", "in_transit", "received", "accepted", "rejected", "stored", "disposed"]
ResultStatus = Literal["preliminary", "final", "corrected", "cancelled"]
TestStatus = Literal["pending", "resulted", "recollected", "cancelled"]
"""Of one test of an order; a recollected one went on to the order for a new sample."""

ORDER_MOVES: Mapping[OrderStatus, frozenset[OrderStatus]] = {
    "draft": frozenset({"ordered", "cancelled"}),
    "ordered": frozenset({"collected", "on_hold", "cancelled"}),
    "collected": frozenset({"in_process", "on_hold", "cancelled"}),
    "in_process": frozenset({"partial", "completed", "on_hold", "cancelled"}),
    "partial": frozenset({"completed", "on_hold"}),
    # From here only `order_resumed` leads back, and to nowhere but the state it was put on hold in.
    "on_hold": frozenset({"cancelled"}),
    "completed": frozenset(),
    "cancelled": frozenset(),
}

SAMPLE_MOVES: Mapping[SampleStatus, frozenset[SampleStatus]] = {
    "collected": frozenset({"in_transit"}),
    "in_transit": frozenset({"received"}),
    "received": frozenset({"accepted", "rejected"}),
    "accepted": frozenset({"stored"}),
    "rejected": frozenset({"stored"}),
    "stored": frozenset({"disposed"}),
    "disposed": frozenset(),
}

RESULT_MOVES: Mapping[ResultStatus, frozenset[ResultStatus]] = {
    "preliminary": frozenset({"final", "cancelled"}),
    "final": frozenset({"corrected"}),
    "corrected": frozenset({"corrected"}),
    "cancelled": frozenset(),
}

OPEN_ORDERS: frozenset[OrderStatus] = frozenset({"draft", "ordered", "collected", "in_process", "partial", "on_hold"})
"""The states in which an order is still worked on."""

SAMPLED: frozenset[OrderStatus] = frozenset({"collected", "in_process", "partial"})
ANALYSED: frozenset[OrderStatus] = frozenset({"in_process", "partial"})

IDENTIFIERS = frozenset({"medical_record_number", "full_name", "birth_date"})
"""What a label can show of a patient."""


def order_moved(status: OrderStatus, to: OrderStatus) -> OrderStatus:
    """The state after the move. Raises OrderCannotBecome."""
    if to not in ORDER_MOVES[status]:
        raise OrderCannotBecome(state=status, asked=to)
    return to


def sample_moved(status: SampleStatus, to: SampleStatus) -> SampleStatus:
    """The state after the move. Raises SampleCannotBecome."""
    if to not in SAMPLE_MOVES[status]:
        raise SampleCannotBecome(state=status, asked=to)
    return to


def result_moved(status: ResultStatus, to: ResultStatus) -> ResultStatus:
    """The state after the move. Raises ResultCannotBecome."""
    if to not in RESULT_MOVES[status]:
        raise ResultCannotBecome(state=status, asked=to)
    return to


def order_resumed(status: OrderStatus, held_from: OrderStatus | None) -> OrderStatus:
    """The state that an order on hold returns to. Raises OrderCannotBecome."""
    if status != "on_hold" or held_from is None:
        raise OrderCannotBecome(state=status, asked="resumed")
    return held_from


def order_after_collection(status: OrderStatus) -> OrderStatus:
    """What an order becomes when a sample is taken; a further sample changes nothing. Raises OrderCannotBecome."""
    return status if status in SAMPLED else order_moved(status, "collected")


def order_after_acceptance(status: OrderStatus) -> OrderStatus:
    """What an order becomes when the lab accepts a sample; a further sample changes nothing. Raises OrderCannotBecome."""
    return status if status in ANALYSED else order_moved(status, "in_process")


def order_by_tests(status: OrderStatus, tests: Iterable[TestStatus]) -> OrderStatus:
    """What an order becomes when one of its tests changed. Raises OrderCannotBecome.

    Completed once no test is pending and one has a result; cancelled when none has, because all were given up.
    """
    states = set(tests)
    if "pending" in states:
        after: OrderStatus = "partial" if "resulted" in states else status
    else:
        after = "completed" if "resulted" in states else "cancelled"
    return status if after == status else order_moved(status, after)


def check_cancellable(tests: Iterable[TestStatus]) -> None:
    """Raises OrderHasResultsAlready."""
    if "resulted" in set(tests):
        raise OrderHasResultsAlready


def check_recollectable(status: OrderStatus) -> None:
    """Only for an order that is still worked on a new sample is taken. Raises OrderCannotBecome."""
    if status not in OPEN_ORDERS:
        raise OrderCannotBecome(state=status, asked="recollected")


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


def check_one_value(value: Decimal | None, text: str | None, unit: str | None) -> None:
    """Raises ResultHasOneValue unless there is either a number with its unit, or a text."""
    if (value is None) == (text is None) or (value is None) != (unit is None):
        raise ResultHasOneValue


def check_correction(before: tuple[Decimal | None, str | None], after: tuple[Decimal | None, str | None]) -> None:
    """Raises CorrectionChangesNothing."""
    if before == after:
        raise CorrectionChangesNothing


def check_label(label: Mapping[str, str], patient: Mapping[str, str]) -> None:
    """Whether a sample is this patient's: its label shows two identifiers at least, and none is another's.

    Raises SampleNeedsTwoIdentifiers, SampleLabelDoesNotMatchThePatient. Source: CLSI AUTO12.
    """
    shown = IDENTIFIERS & label.keys()
    if len(shown) < 2:
        raise SampleNeedsTwoIdentifiers
    if any(label[identifier].casefold() != patient[identifier].casefold() for identifier in shown):
        raise SampleLabelDoesNotMatchThePatient


def check_happened(when: datetime, now: datetime) -> datetime:
    """Gives `when` back. Raises TimeIsInTheFuture."""
    if when > now:
        raise TimeIsInTheFuture
    return when
