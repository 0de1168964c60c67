"""What the lab can be asked to do with results: enter, verify, cancel, correct."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock, publish
from contracts.lab import LabResultAvailable, LabResultCorrected
from services.lab import rules
from services.lab.commands import calls
from services.lab.commands.findings import Measured, find
from services.lab.commands.follow_ups import add_reflex_tests, conclude
from services.lab.commands.review import reasons_to_review
from services.lab.commands.work import of_order, working_on, working_on_result
from services.lab.errors import TestHasAResultAlready
from services.lab.tables import LabOrder, LabResult, LabTest, ResultCorrection, Sample


async def enter_result(
    session: AsyncSession,
    order_id: UUID,
    test_code: str,
    measured: Measured,
    *,
    result_id: UUID | None = None,
    entered_by: UUID | None = None,
) -> LabResult:
    """Notes what a test of an order showed; nobody hears of it until it is verified.

    Where the catalogue says so it is released at once, unless there is a reason to look at it: `LabResult.review_reasons`.

    Raises NotFound, TestIsNotPartOfTheOrder, TestHasNoAcceptedSample, TestHasAResultAlready, ResultHasOneValue,
    UnitIsUnknown, UnitCannotBeConverted.
    """
    order = await working_on(session, order_id)
    sample = order.line(test_code).accepted_sample
    await _check_first(session, order, test_code)
    test = await LabTest.seen(session, test_code)
    finding = await find(session, order, sample, test, measured)
    result = LabResult(
        result_id=result_id or uuid4(),
        order_id=order_id,
        sample_id=sample.sample_id,
        facility_id=order.facility_id,
        test_code=test_code,
        test_name=order.line(test_code).test_name,
        status="preliminary",
        entered_by=entered_by,
        entered_at=clock.now(),
    )
    finding.apply(result)
    result.review_reasons = list(await reasons_to_review(session, order, sample, test, result))
    session.add(result)
    if test.auto_verify and not result.review_reasons:
        await _release(session, order, result, result.entered_at)
    return result


async def verify_result(
    session: AsyncSession, result_id: UUID, *, verified_by: UUID | None = None, at: datetime | None = None
) -> LabResult:
    """Releases a result; the order is completed with its last one. Raises NotFound, ResultCannotBecome, OrderCannotBecome."""
    order, result = await working_on_result(session, result_id)
    await _release(session, order, result, rules.check_happened(at or clock.now(), clock.now()))
    result.verified_by = verified_by
    return result


async def cancel_result(session: AsyncSession, result_id: UUID, *, cancelled_by: UUID | None = None) -> LabResult:
    """Gives up a result that was not released yet; its test can get another one. Raises NotFound, ResultCannotBecome."""
    _, result = await working_on_result(session, result_id)
    result.become("cancelled")
    result.cancelled_by, result.cancelled_at = cancelled_by, clock.now()
    return result


async def correct_result(
    session: AsyncSession, result_id: UUID, measured: Measured, *, reason: str, corrected_by: UUID | None = None
) -> LabResult:
    """Says what a released result should have said; what it said before is kept.

    Raises NotFound, ResultCannotBecome, CorrectionChangesNothing, and what `enter_result` raises about the measured.
    """
    order, result = await working_on_result(session, result_id)
    before = ResultCorrection(
        result_id=result_id,
        previous_value=result.value,
        previous_text_value=result.text_value,
        previous_flag=result.flag,
        reason=reason,
        corrected_by=corrected_by,
        corrected_at=clock.now(),
    )
    result.become("corrected")
    sample, test = await Sample.seen(session, result.sample_id), await LabTest.seen(session, result.test_code)
    (await find(session, order, sample, test, measured)).apply(result)
    rules.check_correction((before.previous_value, before.previous_text_value), (result.value, result.text_value))
    result.resulted_at = before.corrected_at
    session.add(before)
    told = {"previous_value": before.previous_value, "previous_text_value": before.previous_text_value, "reason": reason}
    publish(session, LabResultCorrected.of(result, **of_order(order), **told))
    await calls.follow_result(session, result, resulted_at=before.corrected_at)
    await add_reflex_tests(session, order, result)
    return result


async def _release(session: AsyncSession, order: LabOrder, result: LabResult, at: datetime) -> None:
    result.become("final")
    result.resulted_at = at
    order.line(result.test_code).status = "resulted"
    publish(session, LabResultAvailable.of(result, **of_order(order)))
    await calls.follow_result(session, result, resulted_at=at)
    await add_reflex_tests(session, order, result)
    conclude(session, order, at=at)


async def _check_first(session: AsyncSession, order: LabOrder, test_code: str) -> None:
    others = select(LabResult.result_id).where(
        LabResult.order_id == order.order_id, LabResult.test_code == test_code, LabResult.status != "cancelled"
    )
    if await session.scalar(others) is not None:
        raise TestHasAResultAlready(order_id=order.order_id, test_code=test_code)
