"""The business clock: moved once, it moves in every process that follows a database of the platform."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from broker._clock import Clock, ClockFollower, clock
from broker._database import engine_for
from broker.testing.scratch import Databases

DAY = timedelta(days=1)


@pytest.fixture
async def engine(database: Databases) -> AsyncIterator[AsyncEngine]:
    """The engine of a service's database."""
    engine = engine_for(await database())
    yield engine
    await engine.dispose()


def test_now() -> None:
    """Business time is the wall clock plus the shift, in UTC."""
    moved = Clock()
    moved.shift = DAY
    assert timedelta() <= moved.now() - datetime.now(UTC) - DAY + timedelta(seconds=5) < timedelta(seconds=10)


async def test_followed(engine: AsyncEngine) -> None:
    """A process that follows the database learns at once that another one moved the clock."""
    noticed = asyncio.Event()
    follower = ClockFollower(engine, on_move=noticed.set)
    await follower.run_once()
    await follower.start()
    await Clock().move(2 * DAY, [engine])
    async with asyncio.timeout(3):
        await noticed.wait()
    await follower.stop()
    assert clock.shift == 2 * DAY


async def test_started_later(engine: AsyncEngine) -> None:
    """A process that starts after the clock was moved has the moved time."""
    elsewhere = Clock()
    await elsewhere.move(DAY, [engine])
    await elsewhere.move(DAY, [engine])
    follower = ClockFollower(engine)
    await follower.run_once()
    await follower.close()
    assert clock.shift == 2 * DAY


async def test_lost_connection(engine: AsyncEngine) -> None:
    """A follower whose connection was cut fails one round, then listens on a new one."""
    follower = ClockFollower(engine)
    await follower.run_once()
    driver = (await (await follower._connection()).get_raw_connection()).driver_connection
    assert driver is not None
    driver.terminate()
    with pytest.raises(Exception, match="clos"):
        await follower.run_once()
    await Clock().move(DAY, [engine])
    await follower.run_once()
    await follower.close()
    assert clock.shift == DAY
