"""Results, as they are asked for and shown."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from broker import Asked, Shown
from contracts.lab import Flag
from services.lab.commands import Measured
from services.lab.rules import ResultStatus, ReviewReason
from services.lab.views.common import Code, Number, Text, Unit


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


class ResultView(Shown):
    """A result, in the unit of its test; `review_reasons` say why somebody has, or had, to look at it before its release.

    `entered_by`, `verified_by` and `cancelled_by` are users; nobody verified what was released by itself.
    """

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
    review_reasons: list[ReviewReason]
    entered_by: UUID | None
    entered_at: datetime
    verified_by: UUID | None
    resulted_at: datetime | None
    cancelled_by: UUID | None
    cancelled_at: datetime | None


class CorrectionView(Shown):
    """What a result said before it was corrected."""

    previous_value: Decimal | None
    previous_text_value: str | None
    previous_flag: Flag | None
    reason: str
    corrected_by: UUID | None
    corrected_at: datetime
