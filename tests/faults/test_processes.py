"""Processes that are killed or stopped under load: one effect per event and subscription, per key in order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from tests.faults.house import FOLDERS, House
from tests.faults.services import Release
from tests.waiting import until


async def test_a_publisher_killed_with_its_relay(house: House, kills: Callable[[int], int]) -> None:
    """Of several copies of the publisher the one that relays is killed, many times: what was committed is published once."""
    house.start("archive")
    desks = deque([house.start("desk") for _ in range(3)])
    await house.write()

    async def relaying() -> bool:
        return bool((await house.rows("desk", "SELECT count(*) FROM backbone.outbox"))[0])

    for _ in range(kills(20)):
        await house.grown("desk", by=10, table="backbone.published")
        await until(relaying)
        await house.kill(desks.popleft())
        desks.append(house.start("desk"))
    await house.proven()


async def test_a_consumer_killed_in_mid_batch(house: House, kills: Callable[[int], int]) -> None:
    """Of several copies of the consumer the one at work is killed again and again while a batch is half done."""
    house.start("desk")
    archives = deque([house.start("archive") for _ in range(3)])
    await house.write()
    for _ in range(kills(20)):
        await house.grown("archive", by=5, table="effect")
        await until(lambda: house.is_writing("archive"))
        await house.kill(archives.popleft())
        archives.append(house.start("archive"))
    await house.proven()


async def test_clean_stops_under_load(house: House, kills: Callable[[int], int]) -> None:
    """Of two copies of each service the one at work is asked to end again and again: the other goes on exactly behind it."""
    desks = deque([house.start("desk"), house.start("desk")])
    archives = deque([house.start("archive"), house.start("archive")])
    await house.write()
    for _ in range(kills(5)):
        for service, copies in (("archive", archives), ("desk", desks)):
            await house.grown("archive", by=20)
            await house.stop(copies.popleft())
            copies.append(house.start(service))
    await house.proven()


async def test_a_message_that_ends_the_process(house: House) -> None:
    """The one message that ends the process costs one dead letter, which nothing overtakes; repaired code makes it good."""
    fragile, killer, count = Release(fragile=True), 137, 300
    house.start("desk")
    await house.notes(*("exit" if number == killer else "" for number in range(count)))
    folder, behind = FOLDERS[killer % len(FOLDERS)], len(range(killer + len(FOLDERS), count, len(FOLDERS)))

    async def all_settled() -> bool:
        effects, failed = await asyncio.gather(
            house.rows("archive", "SELECT count(*) FROM effect"),
            house.rows("archive", "SELECT state FROM backbone.failed_message"),
        )
        return effects[0] + len(failed) == count and "retrying" not in failed

    settled = asyncio.create_task(until(all_settled, within=60))
    deaths = -1
    while not settled.done():
        archive = house.start("archive", fragile)
        ended = asyncio.create_task(house.ended(archive, within=90))
        await asyncio.wait({settled, ended}, return_when=asyncio.FIRST_COMPLETED)
        deaths += 1
    await settled
    await house.stop(archive)
    await ended
    assert await house.failed() == [("dead", folder), *[("held", folder)] * behind]
    assert 3 <= deaths <= 6
    await house.proven(kept=1 + behind)
    house.start("archive")
    await house.retry_the_dead()
    await house.proven()
