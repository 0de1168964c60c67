"""Tests of the catalogue, as they are asked for and shown."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import Field

from broker import Asked, Shown
from contracts.clinical import Sex
from contracts.lab import Flag
from services.lab.commands import Policy
from services.lab.rules import CONTROL_HOURS, Delta, GivenRange, GivenReflex, Limits
from services.lab.views.common import Code, Number, Text, Unit

Age = Annotated[int, Field(ge=0, le=200)]
Hours = Annotated[int, Field(gt=0, le=8784)]


class AskedRange(Asked):
    """Where values are normal, for a sex (null: any) and an age in completed years, `age_to` excluded."""

    sex: Sex | None = None
    age_from: Age = 0
    age_to: Age | None = None
    low: Number | None = None
    high: Number | None = None
    danger_low: Number | None = None
    danger_high: Number | None = None

    def given(self) -> GivenRange:
        """For the command."""
        limits = Limits(low=self.low, high=self.high, danger_low=self.danger_low, danger_high=self.danger_high)
        return GivenRange(sex=self.sex, age_from=self.age_from, age_to=self.age_to, limits=limits)


class AskedDelta(Asked):
    """By how much a value may differ from the patient's previous one, if that is no older than `days`."""

    days: Annotated[int, Field(gt=0, le=3650)]
    absolute: Annotated[Number, Field(ge=0)] | None = None
    percent: Annotated[Number, Field(ge=0)] | None = None


class AskedReflex(Asked):
    """A further test: for a flag or a worse one, below a value, or above one."""

    further_test: Code
    flag: Flag | None = None
    below: Number | None = None
    above: Number | None = None


class AskedTest(Asked):
    """All that the catalogue says of a test. `molar_mass` in g/mol.

    `auto_verify`: results are released that nobody has to look at. `control_hours`: how long a control speaks for them.
    `duplicate_hours`: how soon the test is not ordered again without a reason.
    """

    name: Text
    unit: Unit
    molar_mass: Annotated[Number, Field(gt=0)] | None = None
    normal_text: Text | None = None
    active: bool = True
    ranges: Annotated[list[AskedRange], Field(max_length=50, default_factory=list)]
    delta: AskedDelta | None = None
    auto_verify: bool = False
    control_hours: Hours = CONTROL_HOURS
    duplicate_hours: Hours | None = None
    reflexes: Annotated[list[AskedReflex], Field(max_length=20, default_factory=list)]

    def policy(self) -> Policy:
        """For the command."""
        return Policy(
            delta=None if self.delta is None else Delta(**dict(self.delta)),
            auto_verify=self.auto_verify,
            control_hours=self.control_hours,
            duplicate_hours=self.duplicate_hours,
            reflexes=[GivenReflex(**dict(reflex)) for reflex in self.reflexes],
        )


class RangeView(Shown):
    """A reference range, in the unit of its test."""

    sex: Sex | None
    age_from: int
    age_to: int | None
    low: Decimal | None
    high: Decimal | None
    danger_low: Decimal | None
    danger_high: Decimal | None


class DeltaView(Shown):
    """What a test's results are compared by with the patient's previous one."""

    days: int
    absolute: Decimal | None
    percent: Decimal | None


class ReflexView(Shown):
    """A further test, and the results that ask for it."""

    further_test: str
    flag: Flag | None
    below: Decimal | None
    above: Decimal | None


class TestView(Shown):
    """A test of the catalogue."""

    __test__ = False

    code: str
    name: str
    unit: str
    molar_mass: Decimal | None
    normal_text: str | None
    active: bool
    ranges: list[RangeView]
    delta: DeltaView | None
    auto_verify: bool
    control_hours: int
    duplicate_hours: int | None
    reflexes: list[ReflexView]
