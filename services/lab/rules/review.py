"""Whether a result goes out by itself, or a person has to look at it first. Source: CLSI AUTO10, CLSI EP33."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from contracts.lab import Flag
from services.lab.errors import DeltaNeedsALimit
from services.lab.rules.ranges import is_critical
from services.lab.rules.states import ANALYSED, OrderStatus

ReviewReason = Literal["critical", "delta", "quality_control", "order_not_open"]
"""Why somebody has to look at a result before it is released."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """By how much a value may differ from the patient's previous one, if that is no older than `days`: either limit counts."""

    days: int
    absolute: Decimal | None = None
    percent: Decimal | None = None


def check_delta(delta: Delta | None) -> None:
    """Raises DeltaNeedsALimit."""
    if delta is not None and delta.absolute is None and delta.percent is None:
        raise DeltaNeedsALimit


def delta_fails(value: Decimal, previous: Decimal, delta: Delta) -> bool:
    """Whether a value differs too much from the one before; a change by exactly a limit is within it."""
    change = abs(value - previous)
    if delta.absolute is not None and change > delta.absolute:
        return True
    return delta.percent is not None and change * 100 > delta.percent * abs(previous)


def review_reasons(*, flag: Flag | None, delta_failed: bool, in_control: bool, order: OrderStatus) -> Sequence[ReviewReason]:
    """What stops a result from being released by itself; that it is abnormal does not."""
    found: dict[ReviewReason, bool] = {
        "critical": is_critical(flag),
        "delta": delta_failed,
        "quality_control": not in_control,
        "order_not_open": order not in ANALYSED,
    }
    return [reason for reason, applies in found.items() if applies]
