"""What the lab can be asked to do with controls."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock
from services.lab import rules
from services.lab.rules import Controlled
from services.lab.tables import ControlMeasurement, LabTest


async def record_control(
    session: AsyncSession,
    *,
    facility_id: UUID,
    test_code: str,
    level: int,
    value: Decimal,
    target: Decimal,
    sd: Decimal,
    measured_by: UUID | None = None,
    at: datetime | None = None,
) -> ControlMeasurement:
    """Notes what a control showed, in the unit of its test, and judges it.

    Raises NotFound, ControlNeedsASpread, TimeIsInTheFuture.
    """
    rules.check_spread(sd)
    # Controls of a test come one after the other: each is judged by the one before it.
    await LabTest.locked(session, test_code)
    measured_at = rules.check_happened(at or clock.now(), clock.now())
    before = await _before(session, facility_id, test_code, level, measured_at)
    control = ControlMeasurement(
        control_id=uuid4(),
        facility_id=facility_id,
        test_code=test_code,
        level=level,
        value=value,
        target=target,
        sd=sd,
        outcome=rules.westgard(rules.deviation(value, target, sd), before.deviation if before is not None else None),
        measured_by=measured_by,
        measured_at=measured_at,
    )
    session.add(control)
    return control


async def is_in_control(session: AsyncSession, test: LabTest, facility_id: UUID) -> bool:
    """Whether the latest controls say that the test can be trusted at this facility now."""
    here = ControlMeasurement.facility_id == facility_id, ControlMeasurement.test_code == test.code
    newest = ControlMeasurement.level, ControlMeasurement.measured_at.desc(), ControlMeasurement.control_id.desc()
    latest = select(ControlMeasurement).where(*here).ext(distinct_on(ControlMeasurement.level)).order_by(*newest)
    controlled = [Controlled(each.outcome, each.measured_at) for each in await session.scalars(latest)]
    return rules.is_in_control(controlled, now=clock.now(), hours=test.control_hours)


async def _before(
    session: AsyncSession, facility_id: UUID, test_code: str, level: int, measured_at: datetime
) -> ControlMeasurement | None:
    same = (
        ControlMeasurement.facility_id == facility_id,
        ControlMeasurement.test_code == test_code,
        ControlMeasurement.level == level,
        ControlMeasurement.measured_at <= measured_at,
    )
    earlier = select(ControlMeasurement).where(*same).order_by(ControlMeasurement.measured_at.desc()).limit(1)
    return await session.scalar(earlier)
