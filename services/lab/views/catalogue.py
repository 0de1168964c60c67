"""Tests of the catalogue, as they are asked for and shown."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import Field

from broker import Asked, Shown
from contracts.clinical import Sex
from services.lab.rules import GivenRange, Limits
from services.lab.views.common import Number, Text, Unit

Age = Annotated[int, Field(ge=0, le=200)]


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


class AskedTest(Asked):
    """All that the catalogue says of a test. `molar_mass` in g/mol."""

    name: Text
    unit: Unit
    molar_mass: Annotated[Number, Field(gt=0)] | None = None
    normal_text: Text | None = None
    active: bool = True
    ranges: Annotated[list[AskedRange], Field(max_length=50, default_factory=list)]


class RangeView(Shown):
    """A reference range, in the unit of its test."""

    sex: Sex | None
    age_from: int
    age_to: int | None
    low: Decimal | None
    high: Decimal | None
    danger_low: Decimal | None
    danger_high: Decimal | None


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
