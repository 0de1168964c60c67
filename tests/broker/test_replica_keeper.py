"""Replicas look after themselves: what is due is begun, once, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest
from sqlalchemy import text

from broker import _answering, clock
from broker._failures import Failures
from broker._replay import Retrier
from broker._replica_keeper import ITSELF, ReplicaKeeper
from broker._replica_runs import Place, Run, runs
from tests.broker.copying import GUESTS, PERSONS, Ferry, ferry_over, ledger
from tests.broker.test_replica_runs import THREE, damage, owned, person

DAY = timedelta(days=1)


@pytest.fixture
async def ferry(database: Callable[..., Awaitable[str]]) -> AsyncIterator[Ferry]:
    """Both sides, the owner with some persons."""
    async with ferry_over(database) as ferry:
        await owned(ferry, 4)
        yield ferry


def keeper(ferry: Ferry, *places: Place, check_every: timedelta | None = DAY) -> ReplicaKeeper:
    return ReplicaKeeper(ferry.keeper, places or (PERSONS,), check_every=check_every)


async def begun(ferry: Ferry, place: Place = PERSONS) -> list[Run]:
    """Its runs, the first one first."""
    async with ferry.keeper.transaction() as session:
        return list(reversed(await runs(session, place)))


async def test_a_new_replica_is_filled_once(ferry: Ferry) -> None:
    """However often and in however many copies somebody looks, while it is under way and afterwards."""
    await asyncio.gather(*(keeper(ferry).run_once() for _ in range(4)))
    await keeper(ferry).run_once()
    await ferry.settle()
    await keeper(ferry).run_once()
    (run,) = await begun(ferry)
    assert (run.purpose, run.state, run.asked_by, run.rows) == ("fill", "done", ITSELF, 4)
    assert await ferry.copies() == await ferry.persons()


async def test_a_wiped_replica_is_filled_again(ferry: Ferry) -> None:
    """Not one of which rows are left, nor one that never had any."""
    await keeper(ferry).run_once()
    await ferry.settle()
    await damage(ferry, "DELETE FROM person_reference WHERE id <> :id", id=person(1).person_id)
    await keeper(ferry).run_once()
    assert len(await begun(ferry)) == 1
    await damage(ferry, "TRUNCATE person_reference")
    await keeper(ferry).run_once()
    await ferry.settle()
    assert [run.purpose for run in await begun(ferry)] == ["fill", "fill"]
    assert await ferry.copies() == await ferry.persons()
    for each in (4, 3, 2, 1):
        await ferry.remove(person(each).person_id)
    await ferry.settle()
    await damage(ferry, "TRUNCATE person_reference")
    await ferry.run(PERSONS, "fill")
    await keeper(ferry).run_once()
    assert len(await begun(ferry)) == 3, "an owner that has nothing leaves an empty replica"


async def test_a_replica_that_grew_is_filled_when_it_is_wiped(ferry: Ferry) -> None:
    """Its last run saw nothing; all that it had came later."""
    for number in range(1, 5):
        await ferry.remove(person(number).person_id)
    await keeper(ferry).run_once()
    await ferry.settle()
    await ferry.write(person(1))
    await ferry.settle()
    await keeper(ferry).run_once()
    assert len(await begun(ferry)) == 1
    await damage(ferry, "TRUNCATE person_reference")
    await keeper(ferry).run_once()
    await ferry.settle()
    assert [(run.purpose, run.rows) for run in await begun(ferry)] == [("fill", 0), ("fill", 1)]
    assert await ferry.copies() == await ferry.persons()


async def test_a_replica_with_another_column_is_filled_again(ferry: Ferry) -> None:
    """It had other columns when it was filled last, whatever was checked since."""
    await keeper(ferry).run_once()
    await ferry.settle()
    await damage(ferry, "UPDATE backbone.replica_run SET columns = array_remove(columns, 'weight')")
    await damage(ferry, "UPDATE person_reference SET weight = NULL")
    await keeper(ferry).run_once()
    await ferry.settle()
    await keeper(ferry).run_once()
    assert [run.purpose for run in await begun(ferry)] == ["fill", "fill"]
    assert await ferry.copies() == await ferry.persons()


async def test_it_is_checked_each_day_and_mended(ferry: Ferry) -> None:
    """A day after the last run, not before; never where nobody wants it."""
    await keeper(ferry).run_once()
    await ferry.settle()
    await damage(ferry, "DELETE FROM person_reference WHERE id = :id", id=person(2).person_id)
    clock.shift += DAY - timedelta(minutes=5)
    await keeper(ferry).run_once()
    clock.shift += timedelta(minutes=10)
    await keeper(ferry, check_every=None).run_once()
    assert len(await begun(ferry)) == 1
    await keeper(ferry).run_once()
    await ferry.settle()
    run = (await begun(ferry))[-1]
    assert (run.purpose, run.repaired) == ("repair", 1)
    assert await ferry.copies() == await ferry.persons()


async def test_a_check_in_place_of_the_first_fill_does_not_keep_it_off(ferry: Ferry) -> None:
    """Somebody gave the fill up to look how the replica is."""
    await keeper(ferry).run_once()
    await ferry.begin(PERSONS, "check", anew=True)
    await ferry.settle()
    await keeper(ferry).run_once()
    await ferry.settle()
    assert [(run.purpose, run.state) for run in await begun(ferry)] == [
        ("fill", "given_up"), ("check", "done"), ("fill", "done"),
    ]  # fmt: skip
    assert await ferry.copies() == await ferry.persons()


@pytest.fixture
async def one_that_fails(ferry: Ferry, monkeypatch: pytest.MonkeyPatch) -> str:
    """The owner has more, in messages of three; the replica cannot take one of them in, for which this stands."""
    monkeypatch.setattr(_answering, "LARGEST", THREE)
    await owned(ferry, 40)
    await damage(ferry, "ALTER TABLE person_reference ADD CONSTRAINT picky CHECK (full_name <> 'P5')")
    return "ALTER TABLE person_reference DROP CONSTRAINT picky"


async def _standing(ferry: Ferry) -> Run:
    """The run that does not go on, however often the keeper looks."""
    for _ in range(2):
        await keeper(ferry).run_once()
        await ferry.settle()
        clock.shift += timedelta(hours=1)
    (*_, run) = await begun(ferry)
    assert (run.state, await _failed(ferry)) == ("running", [run.waits_for])
    return run


async def _failed(ferry: Ferry) -> list[int]:
    async with ferry.keeper.transaction() as session:
        return list(await session.scalars(text("SELECT position FROM backbone.failed_message")))


async def _replay(ferry: Ferry) -> None:
    (position,) = await _failed(ferry)
    outcome = await Retrier(ferry.keeper, ledger, Failures(ledger)).retry(position)
    assert outcome.result == "done"
    await ferry.settle()


async def test_a_run_waits_for_an_answer_that_failed(ferry: Ferry, one_that_fails: str) -> None:
    """It says so, does not ask for what would fail again, and goes on by itself once the message is replayed."""
    run = await _standing(ferry)
    assert run.rows == 3
    await damage(ferry, one_that_fails)
    await _replay(ferry)
    (run,) = await begun(ferry)
    assert (run.state, run.rows, run.waits_for) == ("done", 40, None)
    assert await ferry.copies() == await ferry.persons()


async def test_a_run_goes_on_when_an_answer_that_failed_was_discarded(ferry: Ferry, one_that_fails: str) -> None:
    """It asks for it once more."""
    await _standing(ferry)
    await damage(ferry, one_that_fails)
    await damage(ferry, "DELETE FROM backbone.failed_message")
    await keeper(ferry).run_once()
    await ferry.settle()
    (run,) = await begun(ferry)
    assert (run.state, run.rows) == ("done", 40)
    assert await ferry.copies() == await ferry.persons()


async def test_a_second_look_that_failed_goes_on_too(ferry: Ferry, one_that_fails: str) -> None:
    """Several messages bring what differs; the one in their midst fails."""
    await damage(
        ferry,
        "INSERT INTO backbone.replica_run (id, replica, purpose, state, asked_by, columns, began_at, changed_at, ended_at)"
        " VALUES (gen_random_uuid(), 'person_reference', 'fill', 'done', 'x', '{born_on,full_name,weight}', now(), now(),"
        " now() - interval '2 days')",
    )
    run = await _standing(ferry)
    assert (run.purpose, run.rows) == ("repair", 40)
    await damage(ferry, one_that_fails)
    await _replay(ferry)
    run = (await begun(ferry))[-1]
    assert (run.state, run.repaired, run.waits_for) == ("done", 40, None)
    assert await ferry.copies() == await ferry.persons()


async def test_a_clock_that_was_set_back_begins_nothing(ferry: Ferry) -> None:
    """The run under way began before one that ended long ago, as the clock has it."""
    clock.shift += DAY
    await keeper(ferry).run_once()
    await ferry.settle()
    clock.shift -= DAY
    await ferry.begin(PERSONS, "check")
    await damage(ferry, "TRUNCATE person_reference")
    await keeper(ferry).run_once()
    await ferry.settle()
    assert {(run.purpose, run.state) for run in await begun(ferry)} == {("fill", "done"), ("check", "done")}


async def test_a_question_that_nobody_answers_is_asked_again(ferry: Ferry) -> None:
    """After ten minutes, and then after twice as long each time: the owner finds all of them when it is back."""
    await keeper(ferry).run_once()
    clock.shift += timedelta(seconds=30)
    asked = []
    for minute in range(90):
        await keeper(ferry).run_once()
        await ferry.fetch()
        if ferry.under_way:
            asked.append(minute)
        ferry.under_way.clear()
        clock.shift += timedelta(minutes=1)
    assert asked == [0, 10, 21, 43, 87]
    clock.shift += DAY
    await keeper(ferry).run_once()
    await ferry.settle()
    assert [run.state for run in await begun(ferry)] == ["done"]


async def test_what_was_refused_is_asked_for_an_hour_later(ferry: Ferry) -> None:
    """Not before."""
    for _ in range(2):
        await keeper(ferry, GUESTS).run_once()
        await ferry.settle()
    assert [run.state for run in await begun(ferry, GUESTS)] == ["given_up"]
    clock.shift += timedelta(minutes=65)
    await keeper(ferry, GUESTS).run_once()
    assert [run.purpose for run in await begun(ferry, GUESTS)] == ["fill", "fill"]
