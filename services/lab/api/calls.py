"""Critical results and their calls over HTTP."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from broker import Idempotent, Page, PageRequest, Reading, Router, Transaction, visible
from services.lab import commands
from services.lab.api.access import LabStaff, Staff
from services.lab.rules import CallBackStatus
from services.lab.tables import CriticalCall, CriticalCallBack, LabResult
from services.lab.views import AskedCall, CallBackView, CallView

router = Router()


@router.get("/critical-results")
async def list_critical_results(
    session: Reading, who: Staff, page: PageRequest, status: CallBackStatus | None = None
) -> Page[CallBackView]:
    """The critical results of the token's facilities that somebody has to be called for, those due first at the top."""
    query = select(CriticalCallBack).where(who.within(CriticalCallBack.facility_id))
    if status is not None:
        query = query.where(CriticalCallBack.status == status)
    by = [CriticalCallBack.due_at, CriticalCallBack.result_id]
    return await page.read(session, query, by=by, view=CallBackView.model_validate)


@router.post("/lab-results/{result_id}/critical-call", status_code=201)
async def record_critical_call(
    result_id: UUID, asked: AskedCall, session: Transaction, who: LabStaff, key: Idempotent
) -> CallView:
    """Somebody who treats the patient was told, and read the value back."""
    await visible(session, who, LabResult, result_id)
    call = await commands.record_critical_call(session, result_id, **dict(asked), called_by=who.user_id)
    return CallView.model_validate(call)


@router.get("/lab-results/{result_id}/critical-calls")
async def list_critical_calls(result_id: UUID, session: Reading, who: Staff, page: PageRequest) -> Page[CallView]:
    """The calls that were made for the result."""
    await visible(session, who, LabResult, result_id)
    query = select(CriticalCall).where(CriticalCall.result_id == result_id)
    return await page.read(session, query, by=[CriticalCall.called_at, CriticalCall.call_id], view=CallView.model_validate)
