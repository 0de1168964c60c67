"""Quality control: whether what is measured beside the patients' samples says that a test can be trusted.

A control is a material whose value is known: its target, and the standard deviation of many measurements of it. Source: J. O.
Westgard and others, "A multi-rule Shewhart chart for quality control in clinical chemistry", Clin Chem 27 (1981) 493-501.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

from services.lab.errors import ControlNeedsASpread

ControlOutcome = Literal["in_control", "1_2s", "1_3s", "2_2s"]
"""The rule that a measurement breaks. 1-2s only warns."""

REJECTING: frozenset[ControlOutcome] = frozenset({"1_3s", "2_2s"})

CONTROL_HOURS = 24
"""How long a control speaks for the results after it, unless the catalogue says so: one a day (42 CFR 493.1256(d)(3))."""


@dataclass(frozen=True, slots=True)
class Controlled:
    """What the latest control of one level said."""

    outcome: ControlOutcome
    measured_at: datetime


def check_spread(sd: Decimal) -> None:
    """Raises ControlNeedsASpread."""
    if sd <= 0:
        raise ControlNeedsASpread


def deviation(value: Decimal, target: Decimal, sd: Decimal) -> Decimal:
    """How many standard deviations a measurement lies above its target."""
    return (value - target) / sd


def westgard(z: Decimal, before: Decimal | None) -> ControlOutcome:
    """What a control says. z, before: its own deviation, and that of the one before it at the same level, None for the first.

    1-3s: more than three standard deviations. 2-2s: two in a row beyond two on the same side.
    """
    if abs(z) > 3:
        return "1_3s"
    if abs(z) <= 2:
        return "in_control"
    return "2_2s" if before is not None and abs(before) > 2 and before * z > 0 else "1_2s"


def is_in_control(latest: Collection[Controlled], *, now: datetime, hours: int) -> bool:
    """Whether a test can be trusted, by the latest control of each level: none rejects it, and one is recent enough."""
    recent = any(control.measured_at >= now - timedelta(hours=hours) for control in latest)
    return recent and all(control.outcome not in REJECTING for control in latest)
