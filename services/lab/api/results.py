"""Results over HTTP."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from broker import Idempotent, Page, PageRequest, Reading, Router, Transaction, visible
from services.lab import commands
from services.lab.api.access import Pathologist, Staff, Technician
from services.lab.tables import LabOrder, LabResult, ResultCorrection
from services.lab.views import AskedCorrection, AskedResult, CorrectionView, Moment, ResultView

router = Router()


@router.post("/lab-orders/{order_id}/results", status_code=201)
async def enter_result(
    order_id: UUID, asked: AskedResult, session: Transaction, who: Technician, key: Idempotent
) -> ResultView:
    """Notes what a test showed; nobody hears of it until it is verified."""
    await visible(session, who, LabOrder, order_id)
    result = await commands.enter_result(session, order_id, asked.test_code, asked.measured(), entered_by=who.user_id)
    return ResultView.model_validate(result)


@router.get("/lab-orders/{order_id}/results")
async def list_results(order_id: UUID, session: Reading, who: Staff, page: PageRequest) -> Page[ResultView]:
    """The results of the order."""
    await visible(session, who, LabOrder, order_id)
    query = select(LabResult).where(LabResult.order_id == order_id)
    return await page.read(session, query, by=[LabResult.entered_at, LabResult.result_id], view=ResultView.model_validate)


@router.get("/lab-results/{result_id}")
async def get_result(result_id: UUID, session: Reading, who: Staff) -> ResultView:
    """One result."""
    return ResultView.model_validate(await visible(session, who, LabResult, result_id))


@router.post("/lab-results/{result_id}/verify")
async def verify_result(result_id: UUID, asked: Moment, session: Transaction, who: Pathologist, key: Idempotent) -> ResultView:
    """Releases the result to those who treat the patient."""
    await visible(session, who, LabResult, result_id)
    result = await commands.verify_result(session, result_id, **dict(asked), verified_by=who.user_id)
    return ResultView.model_validate(result)


@router.post("/lab-results/{result_id}/cancel")
async def cancel_result(result_id: UUID, session: Transaction, who: Technician, key: Idempotent) -> ResultView:
    """Gives up a result that was not released yet."""
    await visible(session, who, LabResult, result_id)
    return ResultView.model_validate(await commands.cancel_result(session, result_id, cancelled_by=who.user_id))


@router.post("/lab-results/{result_id}/correct")
async def correct_result(
    result_id: UUID, asked: AskedCorrection, session: Transaction, who: Pathologist, key: Idempotent
) -> ResultView:
    """Says what a released result should have said."""
    await visible(session, who, LabResult, result_id)
    result = await commands.correct_result(session, result_id, asked.measured(), reason=asked.reason, corrected_by=who.user_id)
    return ResultView.model_validate(result)


@router.get("/lab-results/{result_id}/corrections")
async def list_corrections(result_id: UUID, session: Reading, who: Staff, page: PageRequest) -> Page[CorrectionView]:
    """What the result said before, in the order of the corrections."""
    await visible(session, who, LabResult, result_id)
    query = select(ResultCorrection).where(ResultCorrection.result_id == result_id)
    by = [ResultCorrection.corrected_at, ResultCorrection.correction_id]
    return await page.read(session, query, by=by, view=CorrectionView.model_validate)
