"""A replay whose process is killed at any step goes on where it was: one effect each, in order, and the history is whole."""

from __future__ import annotations

import asyncio
import multiprocessing
import random
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from uuid import UUID

import pytest
from sqlalchemy import text

from broker import Permanent
from broker._actions import Pace
from broker.testing import forked
from tests.broker import replay_process
from tests.broker.failing import ASKER, make_desk

forked.preload(replay_process.__name__)

KEYS, EACH = 250, 4
KILLS = 12


class Torn(Permanent):
    """A cause."""


class Soaked(Permanent):
    """Another."""


class Lost(Permanent):
    """The third."""


def spawn(url: str, action: UUID) -> tuple[ForkServerProcess, Connection]:
    """A process that carries the action out, and where it tells of it."""
    told, tells = multiprocessing.Pipe(duplex=False)
    process = forked.start(replay_process.main, url, action, tells)
    tells.close()
    return process, told


def hear(told: Connection, outcomes: int) -> None:
    """Returns when a process has told of so many, or has ended."""
    try:
        while outcomes > 0:
            outcomes -= told.recv()
    except EOFError:
        return


@pytest.mark.timeout(300)
async def test_killed_again_and_again(database: Callable[..., Awaitable[str]], request: pytest.FixtureRequest) -> None:
    """A thousand messages with three causes: killed while the first are tried, and in the middle of batches."""
    url = await database()
    desk = await make_desk(url)
    for key in range(KEYS):
        await desk.fail(f"key-{key}", 0, (Torn, Soaked, Lost)[key % 3]())
        for number in range(1, EACH):
            await desk.hold(f"key-{key}", number)
    begun = await desk.begin("replay", Pace(canary=2, few=5))
    chance = random.Random(4711)
    kills = int(KILLS * request.config.getoption("--kills"))
    after = [*range(1, kills // 2 + 1), *(chance.randrange(20, 150) for _ in range(kills - kills // 2))]
    for outcomes in after:
        process, told = spawn(url, begun.id)
        await asyncio.to_thread(hear, told, outcomes)
        process.kill()
        await asyncio.to_thread(process.join)
    ended = None
    while ended is None or ended.state == "running":
        process, _told = spawn(url, begun.id)
        await asyncio.to_thread(process.join)
        ended = await desk.look(begun.id)
    for key in range(KEYS):
        assert await desk.effects(f"key-{key}") == list(range(EACH)), f"key-{key} of {kills} kills"
    assert (await desk.rows(), await desk.held_keys()) == ([], 0)
    assert (ended.state, ended.asked_by, ended.why) == ("done", ASKER.name, ASKER.why)
    assert ended.left == 0
    assert sum(count for outcome, count in ended.outcomes.items() if outcome in ("took effect", "gone")) == KEYS * EACH
    async with desk.database.transaction() as session:
        twice = text("SELECT count(*) FROM (SELECT id FROM effect GROUP BY id HAVING count(*) > 1) AS doubled")
        assert await session.scalar(twice) == 0
    await desk.database.close()
