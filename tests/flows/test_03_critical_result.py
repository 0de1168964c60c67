"""A critical result (flow 3): the record shows it, and somebody is called in time, or it goes to whoever stands above."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from broker.testing import Flow
from contracts.lab import (
    LabOrderCompleted,
    LabResultAvailable,
    LabResultCorrected,
    LabResultCriticalCalled,
    LabResultCriticalDue,
    LabResultCriticalOverdue,
)
from contracts.notification import NotificationSent
from tests.flows.hospital import POTASSIUM, Hospital, Person, Reply
from tests.flows.running import Running
from tests.flows.staff import engaged

HALF_AN_HOUR = timedelta(minutes=30)


async def critical(hospital: Hospital) -> tuple[Person, str, str]:
    """A patient, a result that endangers them, which nobody knows yet, and its value."""
    person = await hospital.registers()
    order = await hospital.orders(person, POTASSIUM)
    await hospital.accepts(order, person)
    value = hospital.secret("6.8")
    return person, await hospital.measures(order, POTASSIUM, value=value, unit="mmol/L"), value


async def call(hospital: Hospital, result: str, read_back: str, *, status: int = 201) -> Reply:
    """Somebody on the ward is called and repeats this."""
    asked = {"read_back": read_back, "callee_role": "nurse"}
    return await hospital.ask("lab", "POST", f"/lab-results/{result}/critical-call", asked, status=status)


async def call_back(hospital: Hospital, result: str) -> Any:
    """What the lab's worklist says of a result."""
    listed = (await hospital.ask("lab", "GET", "/critical-results", params={"limit": 200})).items
    return next(each for each in listed if each["result_id"] == result)


async def test_a_critical_result_is_called_in_time(flow: Flow, hospital: Hospital) -> None:
    """Order, sample, result: the record shows it as critical; a call with read-back ends it, and nothing more is said."""
    person, result, value = await critical(hospital)
    async with flow.started_by(hospital.releases(result)) as f:
        available = await f.published(LabResultAvailable, by="lab", is_critical=True).once()
        await f.handled(available, by=["clinical", "ehr", "notification"])
        await f.handled(await f.published(LabOrderCompleted).once(), by="clinical")
        assert (await call_back(hospital, result))["status"] == "due"
        refused = await call(hospital, result, "8.6", status=409)
        assert refused["type"] == "urn:nilecare:rule:ReadBackDoesNotMatch"
        await call(hospital, result, value)
        await f.published(LabResultCriticalCalled, by="lab").once()
        await flow.advance(minutes=31)
        f.never(LabResultCriticalDue)
        f.never(LabResultCriticalOverdue)
    [[entry], _] = await hospital.record(person)
    assert (entry["value"], entry["flag"], entry["is_critical"]) == (value, "HH", True)
    assert (await call_back(hospital, result))["status"] == "called"


async def test_a_critical_result_that_nobody_called_escalates(flow: Flow, hospital: Hospital) -> None:
    """Once when half an hour is over; a late call is recorded as such and ends it."""
    person, result, value = await critical(hospital)
    async with flow.started_by(hospital.releases(result)) as f:
        await flow.advance(minutes=29)
        f.scheduled(LabResultCriticalDue, within=timedelta(minutes=1))
        await f.over()
        assert (await call_back(hospital, result))["status"] == "due"
        await flow.advance(minutes=2)
        await f.handled(await f.published(LabResultCriticalDue, by="lab").once(), by="lab")
        await f.handled(await f.published(LabResultCriticalOverdue, by="lab").once(), by="notification")
        waiting = await call_back(hospital, result)
        assert (waiting["status"], waiting["escalations"]) == ("overdue", 1)
        assert (await call(hospital, result, value))["was_late"]
        await flow.advance(minutes=31)
    assert len((await hospital.record(person))[0]) == 1


async def test_who_stands_above_is_told(running: Running, flow: Flow, hospital: Hospital) -> None:
    """The manager of the lab hears of nothing until half an hour is over, and then at once, by a mail without the value."""
    manager = await engaged(hospital, "lab_manager")
    mails = running.outside.mails
    before = len(mails.mails_to(manager.email))
    _, result, value = await critical(hospital)
    async with flow.started_by(hospital.releases(result)) as f:
        f.scheduled(LabResultCriticalDue, within=HALF_AN_HOUR)
        await f.over()
        assert len(mails.mails_to(manager.email)) == before
        await flow.advance(minutes=31)
        await f.handled(await f.published(LabResultCriticalOverdue).once(), by="notification.tell_at_once")
        await f.published(NotificationSent, by="notification", recipient_id=manager.user_id).once()
        await call(hospital, result, value)
    [told] = mails.mails_to(manager.email)[before:]
    assert ("critical" in told.subject, value in told.body) == (True, False)


async def test_what_is_heard_twice_and_in_the_wrong_order_escalates_once(flow: Flow, hospital: Hospital) -> None:
    """Everything of the result comes again, backwards, before and after the call: one entry in the record, one escalation."""
    person, result, value = await critical(hospital)
    async with flow.started_by(hospital.releases(result)) as f:
        await flow.advance(minutes=31)
        await f.published(LabResultCriticalOverdue).once()
        await f.again(backwards=True)
        await call(hospital, result, value)
        await f.again(backwards=True)
        await flow.advance(minutes=31)
    assert len((await hospital.record(person))[0]) == 1
    assert (await call_back(hospital, result))["status"] == "called"


async def test_a_restart_does_not_forget_and_does_not_say_it_twice(flow: Flow, hospital: Hospital) -> None:
    """The lab is started anew while it waits, and loses the message in a hand that dies: it escalates once all the same."""
    _, result, value = await critical(hospital)
    async with flow.started_by(hospital.releases(result)) as f:
        async with flow.late("lab.escalate_a_result_that_nobody_called"):
            await flow.advance(minutes=31)
            await f.published(LabResultCriticalDue).once()
            assert (await call_back(hospital, result))["status"] == "due"
        await f.published(LabResultCriticalOverdue).once()
        async with flow.down("lab"):
            pass
        assert (await call_back(hospital, result))["status"] == "overdue"
        await call(hospital, result, value)


async def test_a_correction_decides_whether_anybody_is_called(flow: Flow, hospital: Hospital) -> None:
    """What was critical by mistake is over with the correction; what turns out to be critical is due from then on."""
    _, result, value = await critical(hospital)
    async with flow.started_by(hospital.releases(result)) as f:
        await hospital.corrects(result, hospital.secret("4.4"))
        assert (await call_back(hospital, result))["status"] == "ended"
        await flow.advance(minutes=31)
        f.never(LabResultCriticalDue)
    async with flow.started_by(hospital.corrects(result, value)) as f:
        await f.published(LabResultCorrected, is_critical=True).once()
        assert (await call_back(hospital, result))["status"] == "due"
        await flow.advance(minutes=31)
        await f.published(LabResultCriticalOverdue, by="lab").once()
        await call(hospital, result, value)
