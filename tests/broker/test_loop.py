"""Background loops: those that begin together take turns, and nobody waits for a turn for long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from broker import _loop
from broker._loop import Loop
from tests.waiting import until


class Slow(Loop):
    """Notes each round when it begins, and ends it when it may."""

    def __init__(self, name: str, begun: list[str]) -> None:
        super().__init__(name, interval=3600)
        self._begun, self.may_end = begun, asyncio.Event()

    async def run_once(self) -> bool:
        self._begun.append(self.name)
        await self.may_end.wait()
        return False


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The rounds, in the order in which they began. Turns are waited for as long as it takes."""
    monkeypatch.setattr(_loop, "TURN", 3600)
    return []


@asynccontextmanager
async def started(*loops: Slow) -> AsyncIterator[None]:
    """The loops at work, one turn for all."""
    turns = asyncio.Semaphore(1)
    for loop in loops:
        await loop.start(turns)
    yield
    for loop in loops:
        loop.may_end.set()
        await loop.stop()


async def has(begun: list[str], *names: str) -> None:
    """Returns when exactly these rounds have begun."""

    async def is_so() -> bool:
        return begun == [*names]

    await until(is_so)


async def test_the_first_rounds_are_taken_in_turn(begun: list[str]) -> None:
    """The second loop begins when the first has ended its round; from then on nobody waits for anybody."""
    one, two = Slow("one", begun), Slow("two", begun)
    async with started(one, two):
        await has(begun, "one")
        one.may_end.set()
        await has(begun, "one", "two")
        one.wake()
        await has(begun, "one", "two", "one")


async def test_a_turn_is_not_waited_for_for_long(begun: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A first round that does not end keeps nobody from beginning, and takes no turn of another's."""
    monkeypatch.setattr(_loop, "TURN", 0.01)
    one, two, three = Slow("one", begun), Slow("two", begun), Slow("three", begun)
    async with started(one, two, three):
        await has(begun, "one", "two", "three")


async def test_a_turn_is_given_back_by_a_round_that_fails(begun: list[str]) -> None:
    """Whoever is next begins."""

    class Failing(Slow):
        async def run_once(self) -> bool:
            await super().run_once()
            raise ValueError

    one, two = Failing("one", begun), Slow("two", begun)
    one.may_end.set()
    async with started(one, two):
        await has(begun, "one", "two")
