"""What the lab's HTTP API takes and shows."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, Field, StringConstraints

from broker import Asked, Shown
from contracts.clinical import Sex
from contracts.lab import Flag, Priority, RejectionReason
from services.lab.commands import Measured
from services.lab.rules import GivenRange, Limits, OrderStatus, ResultStatus, SampleStatus, TestStatus

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Code = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,20}$")]
"""LOINC, or a lab's own code where LOINC has none."""

Unit = Annotated[str, StringConstraints(min_length=1, max_length=40)]
"""UCUM; `1` where there is none."""

Number = Annotated[Decimal, Field(allow_inf_nan=False, max_digits=30, decimal_places=15)]
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


class AskedOrder(Asked):
    """Tests for a patient. Nobody hears of a draft until it is sent."""

    patient_id: UUID
    tests: Annotated[list[Code], Field(min_length=1, max_length=100)]
    priority: Priority = "routine"
    encounter_id: UUID | None = None


class Label(Asked):
    """The patient's identifiers that a sample shows; at least two."""

    medical_record_number: Text | None = None
    full_name: Text | None = None
    birth_date: date | None = None

    def shown(self) -> dict[str, str]:
        """Those that it shows, by name."""
        return {name: str(value) for name, value in self if value is not None}


class AskedSample(Asked):
    """A sample that was taken: for these tests, or for all that have none yet; now, when no time is given."""

    label: Label
    test_codes: Annotated[list[Code], Field(min_length=1, max_length=100)] | None = None
    at: AwareDatetime | None = None


class Rejection(Asked):
    """Why a sample cannot be used."""

    reason: RejectionReason


class Moment(Asked):
    """When it happened; now, when not given."""

    at: AwareDatetime | None = None


class Reason(Asked):
    """Why."""

    reason: Text


class AskedValue(Asked):
    """A number with its unit (UCUM), or a text."""

    value: Number | None = None
    unit: Unit | None = None
    text_value: Text | None = None

    def measured(self) -> Measured:
        """For the command."""
        return Measured(value=self.value, unit=self.unit, text_value=self.text_value)


class AskedResult(AskedValue):
    """What a test of the order showed."""

    test_code: Code


class AskedCorrection(AskedValue):
    """What a result should have said, and why it said something else."""

    reason: Text


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


class LineView(Shown):
    """A test of an order."""

    test_code: str
    test_name: str
    sample_id: UUID | None
    status: TestStatus


class OrderView(Shown):
    """An order; `recollects` is the order whose sample could not be used."""

    order_id: UUID
    patient_id: UUID
    facility_id: UUID
    encounter_id: UUID | None
    status: OrderStatus
    priority: Priority
    recollects: UUID | None
    reason: str | None
    ordered_by: UUID | None
    placed_at: datetime
    completed_at: datetime | None
    cancelled_at: datetime | None
    lines: list[LineView]


class SampleView(Shown):
    """A sample; `identifiers` says which ones its label shows, not what they are."""

    sample_id: UUID
    order_id: UUID
    status: SampleStatus
    identifiers: list[str]
    rejection_reason: RejectionReason | None
    collected_at: datetime
    received_at: datetime | None
    accepted_at: datetime | None
    rejected_at: datetime | None


class ResultView(Shown):
    """A result, in the unit of its test."""

    result_id: UUID
    order_id: UUID
    sample_id: UUID
    test_code: str
    test_name: str
    value: Decimal | None
    text_value: str | None
    unit: str
    reference_low: Decimal | None
    reference_high: Decimal | None
    flag: Flag | None
    is_abnormal: bool
    is_critical: bool
    status: ResultStatus
    entered_at: datetime
    resulted_at: datetime | None


class CorrectionView(Shown):
    """What a result said before it was corrected."""

    previous_value: Decimal | None
    previous_text_value: str | None
    previous_flag: Flag | None
    reason: str
    corrected_at: datetime
