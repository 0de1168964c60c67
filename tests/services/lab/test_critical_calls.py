"""Critical results, on a real database: who has to be called until when, and what is said when nobody is."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from broker import clock
from broker._schedule import Scheduler, next_due
from contracts.lab import LabResultAvailable, LabResultCriticalCalled, LabResultCriticalDue, LabResultCriticalOverdue
from services.lab import commands, errors, rules
from services.lab.tables import CriticalCall, CriticalCallBack
from tests.services.kit import Workplace
from tests.services.lab.bench import accepted, catalogue, entered, known_patient, mmol, placed, released

HALF_AN_HOUR = timedelta(minutes=30)


@pytest.fixture(autouse=True)
async def filled(lab: Workplace) -> None:
    await catalogue(lab)


async def critical(lab: Workplace) -> UUID:
    return await released(lab, await known_patient(lab), "6.8")


async def due(lab: Workplace) -> datetime | None:
    async with lab.transaction() as session:
        return await next_due(session)


async def state(lab: Workplace, result_id: UUID) -> str:
    async with lab.transaction() as session:
        return (await CriticalCallBack.seen(session, result_id)).status


async def call(lab: Workplace, result_id: UUID, read_back: str = "6.8", **more: Any) -> CriticalCall:
    async with lab.transaction() as session:
        asked = {"callee_role": "nurse"} | more
        return await commands.record_critical_call(session, result_id, read_back=Decimal(read_back), **asked)


async def correct(lab: Workplace, result_id: UUID, value: str) -> None:
    async with lab.transaction() as session:
        await commands.correct_result(session, result_id, mmol(value), reason="typing error")


async def pass_time(lab: Workplace, by: timedelta) -> None:
    """Time goes by; what is due by then is said and heard."""
    clock.shift += by
    before = len(await lab.published(LabResultCriticalDue))
    await Scheduler(lab.database).run_once()
    for event in (await lab.published(LabResultCriticalDue))[before:]:
        await lab.deliver(event)


async def test_a_call_is_due_half_an_hour_after_the_release(lab: Workplace) -> None:
    """Of a critical result, and of no other one."""
    await released(lab, await known_patient(lab), "5.6")
    assert await due(lab) is None
    result_id = await critical(lab)
    said = (await lab.published(LabResultAvailable))[-1]
    assert (await state(lab, result_id), await due(lab)) == ("due", said.resulted_at + HALF_AN_HOUR)


async def test_a_call_with_read_back_ends_the_wait(lab: Workplace) -> None:
    """lab.result.critical_called says who called and when; nothing is scheduled any more, nothing overdue."""
    result_id, caller, callee = await critical(lab), uuid4(), uuid4()
    made = await call(lab, result_id, callee_id=callee, callee_role=None, called_by=caller)
    assert (made.callee_id, made.was_late) == (callee, False)
    [event] = await lab.published(LabResultCriticalCalled)
    assert (event.result_id, event.called_by, event.called_at) == (result_id, caller, made.called_at)
    assert (await state(lab, result_id), await due(lab)) == ("called", None)
    await lab.deliver(LabResultCriticalDue(result_id=result_id))
    assert await lab.published(LabResultCriticalOverdue) == []


async def test_what_was_read_back_wrongly_was_not_understood(lab: Workplace) -> None:
    """ReadBackDoesNotMatch: the call does not count, and is still due."""
    result_id = await critical(lab)
    with pytest.raises(errors.ReadBackDoesNotMatch):
        await call(lab, result_id, "8.6")
    assert (await state(lab, result_id), await lab.published(LabResultCriticalCalled)) == ("due", [])


async def test_who_is_called_is_called_once_for_what_is_critical(lab: Workplace) -> None:
    """NoCallIsDue for a result that never was; CallBackCannotBecome for a second call, and for what is no longer critical."""
    with pytest.raises(errors.NoCallIsDue):
        await call(lab, await released(lab, await known_patient(lab), "4.2"), "4.2")
    result_id = await critical(lab)
    await call(lab, result_id)
    with pytest.raises(errors.CallBackCannotBecome):
        await call(lab, result_id)
    ended = await critical(lab)
    await correct(lab, ended, "4.8")
    with pytest.raises(errors.CallBackCannotBecome):
        await call(lab, ended, "4.8")


async def test_nobody_called_in_time(lab: Workplace) -> None:
    """lab.result.critical_overdue, again every half an hour, and no more after MOST_ESCALATIONS times."""
    result_id = await critical(lab)
    await pass_time(lab, timedelta(minutes=29))
    assert await lab.published(LabResultCriticalOverdue) == []
    for times in range(1, rules.MOST_ESCALATIONS + 1):
        await pass_time(lab, timedelta(minutes=31))
        assert len(await lab.published(LabResultCriticalOverdue)) == times
    assert await due(lab) is None
    await pass_time(lab, timedelta(days=1))
    await lab.deliver(LabResultCriticalDue(result_id=result_id))
    assert len(await lab.published(LabResultCriticalOverdue)) == rules.MOST_ESCALATIONS


async def test_each_time_that_passes_escalates_once(lab: Workplace) -> None:
    """However often it is heard that the time has come, and also when that is heard too early."""
    result_id = await critical(lab)
    for _ in range(3):
        await lab.deliver(LabResultCriticalDue(result_id=result_id))
    assert await lab.published(LabResultCriticalOverdue) == []
    clock.shift += timedelta(minutes=31)
    for _ in range(3):
        await lab.deliver(LabResultCriticalDue(result_id=result_id))
    [event] = await lab.published(LabResultCriticalOverdue)
    assert (event.result_id, event.due_at) == (result_id, event.resulted_at + HALF_AN_HOUR)


async def test_a_late_call_is_recorded_as_late(lab: Workplace) -> None:
    """It ends the escalation; one that was made in time and written down later is not late."""
    result_id, other = await critical(lab), await critical(lab)
    in_time = clock.now()
    await pass_time(lab, timedelta(minutes=31))
    assert (await call(lab, result_id)).was_late
    assert not (await call(lab, other, at=in_time)).was_late
    await pass_time(lab, timedelta(days=1))
    assert len(await lab.published(LabResultCriticalOverdue)) == 2


async def test_a_correction_that_is_not_critical_ends_the_wait(lab: Workplace) -> None:
    """Nobody has to be called for what was a mistake."""
    result_id = await critical(lab)
    await correct(lab, result_id, "4.8")
    assert (await state(lab, result_id), await due(lab)) == ("ended", None)
    await pass_time(lab, timedelta(hours=1))
    assert await lab.published(LabResultCriticalOverdue) == []


async def test_a_correction_that_is_critical_begins_the_wait(lab: Workplace) -> None:
    """From the correction on; when another value had been called before, the new one is called too."""
    normal, called = await released(lab, await known_patient(lab), "4.8"), await critical(lab)
    await call(lab, called)
    clock.shift += timedelta(days=2)
    await correct(lab, normal, "6.9")
    await correct(lab, called, "7.1")
    assert [await state(lab, result_id) for result_id in (normal, called)] == ["due", "due"]
    await call(lab, normal, "6.9")
    await pass_time(lab, timedelta(minutes=31))
    assert [event.result_id for event in await lab.published(LabResultCriticalOverdue)] == [called]


async def test_a_correction_from_critical_to_critical_gives_no_more_time(lab: Workplace) -> None:
    """While nobody was called it stays due when it was."""
    result_id = await critical(lab)
    before = await due(lab)
    clock.shift += timedelta(minutes=20)
    await correct(lab, result_id, "7.1")
    assert await due(lab) == before


async def test_a_result_that_is_history_is_not_called(lab: Workplace) -> None:
    """One that was released long ago, and comes from elsewhere, alarms nobody."""
    order_id = await placed(lab, await known_patient(lab))
    await accepted(lab, order_id)
    result_id = await entered(lab, order_id, mmol("6.8"))
    async with lab.transaction() as session:
        await commands.verify_result(session, result_id, at=clock.now() - timedelta(days=2))
    async with lab.transaction() as session:
        assert (await session.scalars(select(CriticalCallBack))).all() == []
    assert await due(lab) is None
