"""Replicas that fill and repair themselves while their owner works, and everybody is killed: in the end they are equal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from itertools import cycle, islice

import pytest

from broker.servers import Stack
from tests.faults.copied import PLACES, SIZE, Copied, picked
from tests.waiting import until

VICTIMS = (("nursery",), ("garden",), ("rabbitmq",), ("shop",), ("nursery", "garden"), ("nursery", "shop"))
"""Who is killed in a fill, one after the other, and again from the first."""

MEMORY = 60 * 2**20
"""Bytes that a process may take in a fill, on top of what it had before. All states at once take more than 200 MB."""


@pytest.mark.timeout(300)
async def test_killed_while_they_fill_and_repair(own_copied: Copied, own_stack: Stack, kills: Callable[[int], int]) -> None:
    """Somebody is killed at every stage, and nothing begins anew; the owner works on; what is damaged is mended, no more."""
    copied = own_copied
    ids = await copied.rows("nursery", "SELECT plant_id FROM plant")
    tended, alone = ids[: SIZE // 2], ids[SIZE // 2 :]
    async with copied.tending(tended) as gardener:
        copied.start("nursery")
        await until(copied.is_told)
        copied.start("garden", "garden", "shop")
        await until(copied.is_begun)
        count = kills(len(VICTIMS))
        async with copied.weighing() as grown:
            for number, victims in enumerate(islice(cycle(VICTIMS), count)):
                await until(partial(copied.has_seen, 1 + SIZE * number // (count + 1)), within=60)
                await kill(copied, own_stack, *victims)
                assert not await copied.is_over()
            await until(copied.is_over, within=60)
        assert max(grown.values()) < MEMORY, grown

        damaged = {
            "garden": await copied.damage("garden", picked(alone, lost=600, stale=9, altered=9, advanced=9, moved=9)),
            "shop": await copied.damage("shop", picked(alone[::-1], lost=600, stale=9, altered=9, advanced=9, moved=9)),
        }
        await copied.repair()
        await until(partial(copied.has_seen, SIZE // 2), within=60)
        await kill(copied, own_stack, "nursery", "garden", "shop")
        assert not await copied.is_over()
        await until(copied.is_over, within=60)
    await copied.hear_all_of(gardener)
    await copied.equal()
    for service in PLACES:
        assert await copied.runs(service) == [("fill", "done"), ("repair", "done")]
        assert await copied.repaired(service) == damaged[service]
    assert gardener.rounds > 50


async def test_a_copy_that_stands_by(copied: Copied) -> None:
    """Two copies of a service fill its replica as one does: by one run, for which the owner is asked no more."""
    copied.start("garden", "shop")
    await until(copied.is_begun)
    copied.start("garden")
    await until(copied.stands_by)
    copied.start("nursery")
    await until(copied.is_over, within=60)
    await copied.equal()
    sent = "SELECT count(*) FROM backbone.published WHERE type = 'replica.states' GROUP BY key"
    garden, shop = await copied.rows("nursery", sent)
    assert garden == shop
    for service in PLACES:
        assert await copied.runs(service) == [("fill", "done")]
        assert (await copied.last_run(service)).rows == SIZE


async def kill(copied: Copied, stack: Stack, *victims: str) -> None:
    """kill -9 of all of these, who then come back."""
    for victim in victims:
        if victim == "rabbitmq":
            await asyncio.to_thread(stack.rabbitmq.kill)
            await asyncio.to_thread(stack.rabbitmq.start)
        else:
            await copied.replace(victim)
