"""What the lab can be asked to do with critical results: call, and say that nobody called."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock, publish, schedule, unschedule
from contracts.lab import LabResultCriticalCalled, LabResultCriticalDue, LabResultCriticalOverdue
from services.lab import rules
from services.lab.commands.work import of_order, working_on_result
from services.lab.errors import NoCallIsDue
from services.lab.tables import CriticalCall, CriticalCallBack, LabResult


async def follow_result(session: AsyncSession, result: LabResult, *, resulted_at: datetime) -> None:
    """A result was released or corrected: where it is critical a call becomes due, where it no longer is none is.

    A call that is due already stays due when it was.
    """
    call_back = await session.get(CriticalCallBack, result.result_id, with_for_update=True)
    if not result.is_critical:
        await _end(session, call_back)
    elif call_back is None or call_back.status in rules.CALLS_DONE:
        due_at = rules.call_due_at(resulted_at, clock.now())
        if due_at is not None:
            await _begin(session, result, call_back, due_at)


async def record_critical_call(
    session: AsyncSession,
    result_id: UUID,
    *,
    read_back: Decimal,
    callee_id: UUID | None = None,
    callee_role: str | None = None,
    called_by: UUID | None = None,
    at: datetime | None = None,
) -> CriticalCall:
    """Somebody who treats the patient was told of a critical result, and read its value back; also when that was late.

    read_back: the value as it was repeated, in the unit of the test; it is compared and not kept.
    Raises NotFound, NoCallIsDue, CallBackCannotBecome, CallNamesOneCallee, ReadBackDoesNotMatch, CallPrecedesTheResult,
    TimeIsInTheFuture.
    """
    order, result = await working_on_result(session, result_id)
    call_back = await session.get(CriticalCallBack, result_id, with_for_update=True)
    if call_back is None or result.resulted_at is None:
        raise NoCallIsDue(result_id=result_id)
    rules.check_callee(callee_id, callee_role)
    rules.check_read_back(read_back, result.value)
    called_at = rules.check_called(rules.check_happened(at or clock.now(), clock.now()), result.resulted_at)
    call = CriticalCall(
        call_id=uuid4(),
        result_id=result_id,
        called_by=called_by,
        callee_id=callee_id,
        callee_role=callee_role,
        called_at=called_at,
        was_late=rules.is_late(called_at, result.resulted_at),
    )
    call_back.become("called")
    session.add(call)
    await unschedule(session, _name(result_id))
    publish(session, LabResultCriticalCalled.of(result, **of_order(order), called_by=called_by, called_at=called_at))
    return call


async def escalate_critical_result(session: AsyncSession, result_id: UUID) -> None:
    """Nobody was called in time: says so, and again after a while, up to MOST_ESCALATIONS times.

    However often this is asked, each time that passes escalates once; it is over when somebody was called, or when the result
    is no longer critical.
    """
    order, result = await working_on_result(session, result_id)
    call_back = await CriticalCallBack.locked(session, result_id)
    if not rules.is_waited_for(call_back.status, call_back.escalations):
        return
    if call_back.due_at <= clock.now():
        publish(session, LabResultCriticalOverdue.of(result, **of_order(order), due_at=call_back.due_at))
        call_back.become("overdue")
        call_back.escalations += 1
        call_back.due_at = clock.now() + rules.ESCALATE_EVERY
    if rules.is_waited_for(call_back.status, call_back.escalations):
        await _wait(session, call_back)


async def _begin(session: AsyncSession, result: LabResult, call_back: CriticalCallBack | None, due_at: datetime) -> None:
    if call_back is None:
        call_back = CriticalCallBack(result_id=result.result_id, facility_id=result.facility_id, status="due")
        session.add(call_back)
    else:
        call_back.become("due")
    call_back.due_at, call_back.escalations = due_at, 0
    await _wait(session, call_back)


async def _wait(session: AsyncSession, call_back: CriticalCallBack) -> None:
    due = LabResultCriticalDue(result_id=call_back.result_id)
    await schedule(session, due, at=call_back.due_at, name=_name(call_back.result_id))


async def _end(session: AsyncSession, call_back: CriticalCallBack | None) -> None:
    if call_back is not None and call_back.status not in rules.CALLS_DONE:
        call_back.become("ended")
        await unschedule(session, _name(call_back.result_id))


def _name(result_id: UUID) -> str:
    return f"critical result {result_id} due"
