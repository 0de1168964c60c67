"""Whether a person has to look at a result before it is released."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.lab import rules
from services.lab.commands.controls import is_in_control
from services.lab.replicas import PatientReference
from services.lab.rules import ReviewReason
from services.lab.tables import LabOrder, LabResult, LabTest, Sample


async def reasons_to_review(
    session: AsyncSession, order: LabOrder, sample: Sample, test: LabTest, result: LabResult
) -> Sequence[ReviewReason]:
    """What stops this result; whether its controls are good is asked where nobody else would."""
    return rules.review_reasons(
        flag=result.flag,
        delta_failed=await _delta_failed(session, order, sample, test, result.value),
        in_control=not test.auto_verify or await is_in_control(session, test, order.facility_id),
        order=order.status,
    )


async def _delta_failed(session: AsyncSession, order: LabOrder, sample: Sample, test: LabTest, value: Decimal | None) -> bool:
    if test.delta is None or value is None:
        return False
    previous = await _previous_value(session, order, sample, test, since=timedelta(days=test.delta.days))
    return previous is not None and rules.delta_fails(value, previous, test.delta)


async def _previous_value(
    session: AsyncSession, order: LabOrder, sample: Sample, test: LabTest, *, since: timedelta
) -> Decimal | None:
    """Of the patient's latest sample before this one that was taken within `since` and measured in the unit of the test.

    In another unit it is a result of before the catalogue changed the unit: its number says nothing beside one of today.
    """
    released = (
        select(LabResult.value)
        .join(LabOrder, LabOrder.order_id == LabResult.order_id)
        .join(Sample, Sample.sample_id == LabResult.sample_id)
        .where(
            LabOrder.recorded_for.in_(await PatientReference.identities(session, order.patient_id)),
            LabResult.test_code == test.code,
            LabResult.unit == test.unit,
            LabResult.status.in_(("final", "corrected")),
            LabResult.value.is_not(None),
            LabResult.sample_id != sample.sample_id,
            Sample.collected_at.between(sample.collected_at - since, sample.collected_at),
        )
    )
    previous: Decimal | None = await session.scalar(released.order_by(Sample.collected_at.desc()).limit(1))
    return previous
