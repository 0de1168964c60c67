"""What the lab can be asked to do with results: enter, verify, cancel, correct.

A value is kept in the unit of its test, and flagged by the reference range for the patient's sex and for the age at which the
sample was taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock, publish
from contracts.lab import Flag, LabResultAvailable, LabResultCorrected
from services.lab import rules, units
from services.lab.commands import orders
from services.lab.errors import TestHasAResultAlready
from services.lab.replicas import PatientReference
from services.lab.tables import LabOrder, LabResult, LabTest, ResultCorrection, Sample


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


async def enter_result(
    session: AsyncSession, order_id: UUID, test_code: str, measured: Measured, *, result_id: UUID | None = None
) -> LabResult:
    """Notes what a test of an order showed; nobody hears of it until it is verified.

    Raises NotFound, TestIsNotPartOfTheOrder, TestHasNoAcceptedSample, TestHasAResultAlready, ResultHasOneValue,
    UnitIsUnknown, UnitCannotBeConverted.
    """
    order = await orders.working_on(session, order_id)
    sample = order.line(test_code).accepted_sample
    await _check_first(session, order, test_code)
    finding = await _finding(session, order, sample, test_code, measured)
    result = LabResult(
        result_id=result_id or uuid4(),
        order_id=order_id,
        sample_id=sample.sample_id,
        facility_id=order.facility_id,
        test_code=test_code,
        test_name=order.line(test_code).test_name,
        status="preliminary",
        entered_at=clock.now(),
    )
    _apply(finding, result)
    session.add(result)
    return result


async def verify_result(session: AsyncSession, result_id: UUID, *, at: datetime | None = None) -> LabResult:
    """Releases a result; the order is completed with its last one. Raises NotFound, ResultCannotBecome, OrderCannotBecome."""
    order, result = await _locked(session, result_id)
    result.become("final")
    result.resulted_at = rules.check_happened(at or clock.now(), clock.now())
    order.line(result.test_code).status = "resulted"
    publish(session, LabResultAvailable.of(result, **_of_order(order)))
    orders.conclude(session, order, at=result.resulted_at)
    return result


async def cancel_result(session: AsyncSession, result_id: UUID) -> LabResult:
    """Gives up a result that was not released yet; its test can get another one. Raises NotFound, ResultCannotBecome."""
    _, result = await _locked(session, result_id)
    result.become("cancelled")
    return result


async def correct_result(session: AsyncSession, result_id: UUID, measured: Measured, *, reason: str) -> LabResult:
    """Says what a released result should have said; what it said before is kept.

    Raises NotFound, ResultCannotBecome, CorrectionChangesNothing, and what `enter_result` raises about the measured.
    """
    order, result = await _locked(session, result_id)
    before = ResultCorrection(
        result_id=result_id,
        previous_value=result.value,
        previous_text_value=result.text_value,
        previous_flag=result.flag,
        reason=reason,
        corrected_at=clock.now(),
    )
    result.become("corrected")
    sample = await Sample.seen(session, result.sample_id)
    _apply(await _finding(session, order, sample, result.test_code, measured), result)
    rules.check_correction((before.previous_value, before.previous_text_value), (result.value, result.text_value))
    result.resulted_at = before.corrected_at
    session.add(before)
    told = {"previous_value": before.previous_value, "previous_text_value": before.previous_text_value, "reason": reason}
    publish(session, LabResultCorrected.of(result, **_of_order(order), **told))
    return result


async def _locked(session: AsyncSession, result_id: UUID) -> tuple[LabOrder, LabResult]:
    order_id = (await LabResult.seen(session, result_id)).order_id
    order = await orders.working_on(session, order_id)
    return order, await LabResult.locked(session, result_id)


async def _check_first(session: AsyncSession, order: LabOrder, test_code: str) -> None:
    others = select(LabResult.result_id).where(
        LabResult.order_id == order.order_id, LabResult.test_code == test_code, LabResult.status != "cancelled"
    )
    if await session.scalar(others) is not None:
        raise TestHasAResultAlready(order_id=order.order_id, test_code=test_code)


async def _finding(session: AsyncSession, order: LabOrder, sample: Sample, test_code: str, measured: Measured) -> Finding:
    rules.check_one_value(measured.value, measured.text_value, measured.unit)
    test = await LabTest.seen(session, test_code)
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


def _apply(finding: Finding, result: LabResult) -> None:
    result.value, result.text_value, result.unit = finding.value, finding.text_value, finding.unit
    result.reference_low, result.reference_high = finding.reference_low, finding.reference_high
    result.flag = finding.flag


def _of_order(order: LabOrder) -> dict[str, UUID | None]:
    return {"patient_id": order.patient_id, "encounter_id": order.encounter_id, "ordered_by": order.ordered_by}
