"""What a measured value is in the unit of its test, and what it means for the patient.

A value is flagged by the reference range for the patient's sex and for the age at which the sample was taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncSession

from contracts.lab import Flag
from services.lab import rules, units
from services.lab.replicas import PatientReference
from services.lab.tables import LabOrder, LabResult, LabTest, Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was measured: a number with its unit (UCUM), or a text."""

    value: Decimal | None = None
    unit: str | None = None
    text_value: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A value in the unit of its test, and what it means for the patient it was taken from."""

    value: Decimal | None
    text_value: str | None
    unit: str
    reference_low: Decimal | None
    reference_high: Decimal | None
    flag: Flag | None

    def apply(self, result: LabResult) -> None:
        """Makes it what the result says."""
        result.value, result.text_value, result.unit = self.value, self.text_value, self.unit
        result.reference_low, result.reference_high = self.reference_low, self.reference_high
        result.flag = self.flag


async def find(session: AsyncSession, order: LabOrder, sample: Sample, test: LabTest, measured: Measured) -> Finding:
    """Converts and flags. Raises ResultHasOneValue, UnitIsUnknown, UnitCannotBeConverted."""
    rules.check_one_value(measured.value, measured.text_value, measured.unit)
    if measured.value is None or measured.unit is None:
        text = measured.text_value or ""
        flag = rules.flag_of_text(text, test.normal_text)
        return Finding(value=None, text_value=text, unit=test.unit, reference_low=None, reference_high=None, flag=flag)
    value = units.convert(measured.value, measured.unit, test.unit, molar_mass=test.molar_mass)
    patient = await PatientReference.require(session, order.patient_id)
    age = rules.age_in_years(patient.birth_date, sample.collected_at.date())
    limits = rules.limits_for(test.ranges, sex=patient.sex, age=age)
    return Finding(
        value=value,
        text_value=None,
        unit=test.unit,
        reference_low=limits.low,
        reference_high=limits.high,
        flag=rules.flag_of(value, limits),
    )
