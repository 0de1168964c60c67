"""A critical result: the record shows it, and somebody is called in time, or it goes to whoever stands above."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from aiormq.abc import DeliveredMessage

from tests.flows.again import hear_again
from tests.flows.hospital import POTASSIUM, Hospital, Person, Reply
from tests.flows.running import Running
from tests.flows.spoken import attributes
from tests.flows.staff import engaged
from tests.waiting import until

OVERDUE = "lab.result.critical_overdue"
SAID = "SELECT type, flow FROM backbone.published WHERE key = :result ORDER BY position"
DUE = "SELECT due_at FROM backbone.schedule WHERE key = :result"
HALF_AN_HOUR = timedelta(minutes=31)


async def critical(hospital: Hospital) -> tuple[Person, str, str, Reply]:
    """A patient, a result that endangers them, its value, and its release."""
    person = await hospital.registers()
    order = await hospital.orders(person, POTASSIUM)
    await hospital.accepts(order, person)
    value = hospital.secret("6.8")
    result = await hospital.measures(order, POTASSIUM, value=value, unit="mmol/L")
    return person, result, value, await hospital.releases(result)


async def call(hospital: Hospital, result: str, read_back: str, *, status: int = 201) -> Reply:
    """Somebody on the ward is called and repeats this."""
    asked = {"read_back": read_back, "callee_role": "nurse"}
    return await hospital.ask("lab", "POST", f"/lab-results/{result}/critical-call", asked, status=status)


async def said(running: Running, result: str) -> list[str]:
    """What the lab said of a result, in order."""
    return [row.type for row in await running.rows("lab", SAID, result=result)]


def told(running: Running, result: str) -> list[DeliveredMessage]:
    """Everything that the lab said of a result."""
    return [each for each in running.overheard.messages.values() if attributes(each)["subject"] == result]


async def call_back(hospital: Hospital, result: str) -> Any:
    """What the lab's worklist says of a result."""
    listed = (await hospital.ask("lab", "GET", "/critical-results", params={"limit": 200})).items
    return next(each for each in listed if each["result_id"] == result)


async def test_a_critical_result_is_called_in_time(running: Running, hospital: Hospital) -> None:
    """Order, sample, result: the record shows it as critical; a call with read-back ends it, and nothing more is said."""
    person, result, value, release = await critical(hospital)
    [[entry], _] = await hospital.record(person)
    assert (entry["value"], entry["flag"], entry["is_critical"]) == (value, "HH", True)
    assert await running.published(release.flow, "lab") == ["lab.result.available", "lab.order.completed"]
    assert (await call_back(hospital, result))["status"] == "due"
    assert (await call(hospital, result, "8.6", status=409))["type"] == "urn:nilecare:rule:ReadBackDoesNotMatch"
    called = await call(hospital, result, value)
    assert await running.published(called.flow, "lab") == ["lab.result.critical_called"]
    await running.move_clock(HALF_AN_HOUR)
    assert await said(running, result) == ["lab.result.available", "lab.result.critical_called"]
    assert (await call_back(hospital, result))["status"] == "called"


async def test_a_critical_result_that_nobody_called_escalates(running: Running, hospital: Hospital) -> None:
    """Once when half an hour is over, in the flow of its release; a late call is recorded as such and ends it."""
    person, result, value, release = await critical(hospital)
    [due] = await running.rows("lab", DUE, result=result)
    await running.move_clock(HALF_AN_HOUR)
    assert (await said(running, result)).count(OVERDUE) == 1
    assert {row.flow for row in await running.rows("lab", SAID, result=result)} == {release.flow}
    waiting = await call_back(hospital, result)
    assert (waiting["status"], waiting["escalations"]) == ("overdue", 1)
    [again] = await running.rows("lab", DUE, result=result)
    assert again.due_at > due.due_at
    assert (await call(hospital, result, value))["was_late"]
    await running.move_clock(HALF_AN_HOUR)
    assert (await said(running, result)).count(OVERDUE) == 1
    assert len((await hospital.record(person))[0]) == 1


async def test_who_stands_above_is_told(running: Running, hospital: Hospital) -> None:
    """The manager of the lab hears of nothing until half an hour is over, and then at once, by a mail without the value."""
    manager = await engaged(hospital, "lab_manager")
    before = running.mails.mails_to(manager.email)
    _, result, value, _ = await critical(hospital)
    assert running.mails.mails_to(manager.email) == before
    await running.move_clock(HALF_AN_HOUR)
    [told] = running.mails.mails_to(manager.email)[len(before) :]
    assert ("critical" in told.subject, value in told.body) == (True, False)
    await call(hospital, result, value)


async def test_what_is_heard_twice_and_in_the_wrong_order_escalates_once(running: Running, hospital: Hospital) -> None:
    """Everything of the result comes again, backwards, before and after the call: one entry in the record, one escalation."""
    person, result, value, _ = await critical(hospital)
    await running.move_clock(HALF_AN_HOUR)
    await hear_again(running, told(running, result))
    await running.settled()
    assert (await said(running, result)).count(OVERDUE) == 1
    await call(hospital, result, value)
    await hear_again(running, told(running, result))
    await running.move_clock(HALF_AN_HOUR)
    assert (await said(running, result)).count(OVERDUE) == 1
    assert len((await hospital.record(person))[0]) == 1
    assert (await call_back(hospital, result))["status"] == "called"


async def test_a_restart_does_not_forget_and_does_not_say_it_twice(running: Running, hospital: Hospital) -> None:
    """The lab is started anew while it waits, and loses the message in a hand that dies: it escalates once all the same."""
    _, result, value, _ = await critical(hospital)
    async with running.held_back("lab.escalate_a_result_that_nobody_called"):
        await running.flows.move_clock(HALF_AN_HOUR)

        async def is_due() -> bool:
            return "lab.result.critical_due" in await said(running, result)

        await until(is_due)
        assert OVERDUE not in await said(running, result)
    await running.settled()
    assert (await said(running, result)).count(OVERDUE) == 1
    async with running.held_back("lab.escalate_a_result_that_nobody_called"):
        assert (await call_back(hospital, result))["status"] == "overdue"
    await call(hospital, result, value)


async def test_a_correction_decides_whether_anybody_is_called(running: Running, hospital: Hospital) -> None:
    """What was critical by mistake is over with the correction; what turns out to be critical is due from then on."""
    _, result, value, _ = await critical(hospital)
    for corrected, status in ((hospital.secret("4.4"), "ended"), (value, "due")):
        asked = {"value": corrected, "unit": "mmol/L", "reason": "haemolysed"}
        await hospital.ask("lab", "POST", f"/lab-results/{result}/correct", asked)
        assert (await call_back(hospital, result))["status"] == status
        await running.move_clock(HALF_AN_HOUR)
        assert (await said(running, result)).count(OVERDUE) == (status == "due")
    await call(hospital, result, value)
