"""A replay asked for in operations, with everybody killed who takes part: one effect each, and the history says who asked."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from functools import partial

import pytest

from broker.servers import Stack
from tests.faults.operated import EACH, REPORTS, Operated
from tests.faults.parcels import OBSTACLES
from tests.faults.parts import CopyPart, Part, ServerPart
from tests.waiting import until

PARTS = ("operations", "broker", "courier")

ASKED, ON_ITS_WAY = ("asked, not published", "operations"), ("on its way", "broker")
CARRIED_OUT = (
    ("begun", "courier"),
    ("the canary", "operations"),
    ("a few", "broker"),
    ("the rest", "courier"),
)
MORE, DONE, TOLD = ("more of the rest", "courier"), ("done, not told", "courier"), ("told, not heard", "operations")
"""The steps of a replay, and who is killed there first. In the next round it is the next part, so that three do them all."""

WITHIN: Mapping[str, range] = {
    "begun": range(1, 2),
    "the canary": range(2, 3 * 2 * EACH),
    "a few": range(3 * 2 * EACH + 1, 3 * 7 * EACH),
    "the rest": range(3 * 7 * EACH + 1, 500),
}
"""Among which deliveries, in the middle of a handler: the first of each cause take along what is held behind them."""

LATER = range(500, 900)
"""Between which outcomes there is one more kill, wherever the courier then is."""


class Round:
    """One replay, in which each step has its victim."""

    def __init__(self, operated: Operated, parts: Mapping[str, Part], number: int) -> None:
        self._operated, self._parts, self._number = operated, parts, number

    async def kill(self, step: tuple[str, str]) -> None:
        """Kills whose turn it is."""
        await self._parts[PARTS[(PARTS.index(step[1]) + self._number) % len(PARTS)]].kill()

    async def go_on(self, *names: str) -> None:
        """These, or all, are at work again."""
        await asyncio.gather(*(self._parts[name].go_on() for name in names or PARTS))

    async def stand_still(self, *names: str) -> None:
        """These do nothing."""
        for name in names:
            await self._parts[name].stand_still()

    async def is_sent(self) -> bool:
        """Whether the broker has the request."""
        asked = "SELECT count(*) FROM backbone.outbox WHERE type = 'operation.requested'"
        return bool(await self._operated.rows("operations", asked) == [0])

    async def has_come_to(self, count: int) -> bool:
        """Whether so many outcomes are known."""
        known = "SELECT count(outcome) FROM backbone.action_message"
        return bool((await self._operated.rows("courier", known))[0] >= 1000 * self._number + count)

    async def is_done(self) -> bool:
        """Whether the courier has carried out all that it was asked for."""
        actions = await self._operated.rows("courier", "SELECT state FROM backbone.action")
        return len(actions) == self._number + 1 and set(actions) == {"done"}

    async def is_told(self) -> bool:
        """Whether the broker has all that the courier lets be known."""
        left = "SELECT (SELECT count(*) FROM backbone.change) + (SELECT count(*) FROM backbone.outbox)"
        return bool(await self._operated.rows("courier", left) == [0])


@pytest.mark.timeout(600)
async def test_killed_at_every_step(own_operated: Operated, own_stack: Stack, kills: Callable[[int], int]) -> None:
    """A thousand messages with three causes; at each step the service, operations or the broker is killed, and comes back."""
    operated, addresses, chance = own_operated, 1000 // EACH, random.Random(4711)
    parts: dict[str, Part] = {name: CopyPart(operated, name) for name in ("operations", "courier")}
    parts["broker"] = ServerPart(own_stack.rabbitmq)
    for number in range(kills(1)):
        await operated.fail(addresses)
        await operated.cure(*OBSTACLES)
        gates = {step: number * 1000 + chance.choice(WITHIN[step[0]]) for step in CARRIED_OUT}
        await operated.close_gates(*gates.values())
        this = Round(operated, parts, number)

        await this.stand_still("courier", "broker")
        request = await operated.ask("amani", "the roads are free")
        assert not await this.is_sent()
        await this.kill(ASKED)
        await this.go_on("operations", "broker")

        await until(this.is_sent, within=60)
        await this.kill(ON_ITS_WAY)
        await this.go_on()

        async with asyncio.TaskGroup() as coming_back:
            for step, gate in gates.items():
                await until(partial(operated.locks.is_wanted, gate), within=60)
                await this.kill(step)
                coming_back.create_task(this.go_on())
                await operated.locks.give_back(gate)
            await until(partial(this.has_come_to, chance.choice(LATER)), within=60)
            await this.kill(MORE)
            await operated.locks.take(REPORTS)
            coming_back.create_task(this.go_on())

        await until(this.is_done, within=60)
        await this.kill(DONE)
        await this.stand_still("operations")
        await this.go_on("courier", "broker")
        await operated.locks.give_back(REPORTS)

        await until(this.is_told, within=60)
        await this.kill(TOLD)
        await this.go_on()

        said, outcomes = await operated.came_to(request)
        assert said == ("done", "amani", "the roads are free", 1000)
        assert outcomes.keys() <= {"took effect", "gone"}
        assert sum(outcomes.values()) == 1000
        assert (await operated.answer("amani", request))["total"] == 1000
        await operated.proven()


async def test_two_operators_at_once(operated: Operated) -> None:
    """Both ask for the same, and two copies of the service do it at the same time: one effect each, and both come to an end."""
    for service in ("operations", "courier", "courier"):
        operated.start(service)
    await operated.fail(30)
    await operated.cure(*OBSTACLES)
    await operated.close_gates(1)
    asked = {name: await operated.ask(name, "the roads are free") for name in ("amani", "baraka")}

    async def both_are_at_it() -> bool:
        waiting = "datname = current_database() AND wait_event_type = 'Lock'"
        return bool(await operated.rows("courier", f"SELECT count(*) FROM pg_stat_activity WHERE {waiting}") == [2])

    await until(both_are_at_it)
    await operated.locks.give_back(1)
    effects = 0
    for name, request in asked.items():
        said, outcomes = await operated.came_to(request)
        assert said == ("done", name, "the roads are free", 30 * EACH)
        assert outcomes.keys() <= {"took effect", "gone"}
        assert sum(outcomes.values()) == 30 * EACH
        effects += outcomes.get("took effect", 0)
    assert 0 < effects <= 30 * EACH
    await operated.proven()


async def test_a_cure_that_was_none(operated: Operated) -> None:
    """The replay of that cause ends with its first message, that of the others goes on, and operations sees both."""
    operated.start("operations")
    operated.start("courier")
    await operated.fail(30)
    await operated.cure("Flooded", "OnStrike")
    said, outcomes = await operated.came_to(await operated.ask("amani", "the roads are free"))
    assert said == ("halted", "amani", "the roads are free", 30 * EACH)
    assert outcomes.pop("took effect") + outcomes.pop("gone") == 20 * EACH
    assert outcomes == {"failed again": 1, "not tried": 9, "behind": 10 * (EACH - 1)}
    await operated.knows(10 * EACH)
    left = "SELECT DISTINCT fingerprint FROM failed_message_reference WHERE NOT deleted AND state = 'dead'"
    assert [kind.partition(" ")[0] for kind in await operated.rows("operations", left)] == ["SnowedIn"]
    snowed_in = range(1, 30, 3)
    assert await operated.deliveries() == {address: list(range(EACH)) for address in range(30) if address not in snowed_in}
    await operated.cure("SnowedIn")
    said, _ = await operated.came_to(await operated.ask("amani", "the snow has melted"))
    assert said == ("done", "amani", "the snow has melted", 10 * EACH)
    await operated.proven()
