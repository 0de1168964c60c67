"""A replay whose process is killed at any step goes on where it was: one effect each, in order, and the history is whole."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest
from sqlalchemy import text

from broker import Permanent
from broker._actions import Pace
from tests.broker.failing import ASKER, make_desk

KEYS, EACH = 250, 4
KILLS = 12


class Torn(Permanent):
    """A cause."""


class Soaked(Permanent):
    """Another."""


class Lost(Permanent):
    """The third."""


async def spawn(url: str, action: UUID) -> asyncio.subprocess.Process:
    arguments = ("-m", "tests.broker.replay_process", url, str(action))
    return await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)


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
        process = await spawn(url, begun.id)
        assert process.stdout is not None
        for _ in range(outcomes):
            if not await process.stdout.readline():
                break
        process.kill()
        await process.wait()
    ended = None
    while ended is None or ended.state == "running":
        process = await spawn(url, begun.id)
        await process.communicate()
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
