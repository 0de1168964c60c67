"""Replicas look after themselves: what is due is begun, once, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from broker import clock
from broker._replica_keeper import ITSELF, ReplicaKeeper
from broker._replica_runs import Place, Run, runs
from services.operations.replicas import ServiceCopyReference
from tests.broker.copying import GUESTS, PERSONS, Ferry, ferry_over
from tests.broker.test_replica_runs import damage, owned, person

DAY = timedelta(days=1)


@pytest.fixture
async def ferry(database: Callable[..., Awaitable[str]]) -> AsyncIterator[Ferry]:
    """Both sides, the owner with some persons."""
    ferry = await ferry_over(database)
    await owned(ferry, 4)
    yield ferry
    await ferry.owner.close()
    await ferry.keeper.close()


def keeper(ferry: Ferry, *places: Place, check_every: timedelta | None = DAY) -> ReplicaKeeper:
    return ReplicaKeeper(ferry.keeper, places or (PERSONS,), check_every=check_every)


async def begun(ferry: Ferry, place: Place = PERSONS) -> list[Run]:
    """Its runs, the first one first."""
    async with ferry.keeper.transaction() as session:
        return list(reversed(await runs(session, place.name)))


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


async def test_what_was_refused_is_asked_for_a_day_later(ferry: Ferry) -> None:
    """And what every service says of itself is asked of nobody."""
    places: tuple[Any, ...] = (GUESTS, Place("operations", ServiceCopyReference))
    for _ in range(2):
        await keeper(ferry, *places).run_once()
        await ferry.settle()
    assert [run.state for run in await begun(ferry, GUESTS)] == ["given_up"]
    clock.shift += DAY + timedelta(minutes=5)
    await keeper(ferry, *places).run_once()
    assert [run.purpose for run in await begun(ferry, GUESTS)] == ["fill", "fill"]
    async with ferry.keeper.transaction() as session:
        assert await session.scalar(text("SELECT count(DISTINCT replica) FROM backbone.replica_run")) == 1
