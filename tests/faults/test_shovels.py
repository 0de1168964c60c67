"""People who move messages about by hand, and a broker that sends them twice: one effect each."""

from __future__ import annotations

import asyncio
import random

from aiormq.abc import DeliveredMessage

from tests.faults.house import FOLDERS, House
from tests.waiting import until

QUEUES = {"note.written": "archive.file", "folder.changed": "archive.folder_copy"}


async def test_duplicates_in_any_order(house: House) -> None:
    """Everything that was published is put into the queues twice more, in any order, under load."""
    house.start("desk")
    for _ in range(2):
        house.start("archive")
    await house.channel.queue_declare("tap", durable=True, arguments={"x-queue-type": "quorum"})
    await house.channel.queue_bind("tap", "desk", "#")
    await house.write()
    for _ in range(3):
        await house.grown("archive", by=50)
        copies = 2 * await house.take("tap")
        random.shuffle(copies)
        await asyncio.gather(*(house.put(_queue_of(message), message) for message in copies))
    await house.proven()


def _queue_of(message: DeliveredMessage) -> str:
    """Where a message belongs: an answer to a replica says so itself."""
    type_ = message.header.properties.message_type or ""
    return QUEUES[type_] if type_ in QUEUES else str(message.routing_key).removeprefix("to.")


async def test_somebody_shovels_the_dead_back(house: House) -> None:
    """What the broker gave up is put back by hand before the service has seen it: it takes effect where it then stands."""
    house.start("desk")
    await house.notes(*[""] * 60)
    await until(lambda: house.holds("archive.file", 60))
    await house.give_up("archive.file", 60, keep=30)
    for message in await house.take("archive.dead"):
        await house.put("archive.file", message)
    house.start("archive")
    await house.write()
    await house.grown("archive", by=20)
    await house.proven()


async def test_somebody_shovels_copies_of_the_dead(house: House) -> None:
    """What the broker gave up is taken in as dead letters, and copies of it put back by hand double nothing."""
    house.start("desk")
    await house.notes(*[""] * len(FOLDERS))
    await until(lambda: house.holds("archive.file", len(FOLDERS)))
    await house.give_up("archive.file", len(FOLDERS))
    dead = await house.take("archive.dead")
    for message in dead:
        await house.put("archive.dead", message)
    for message in dead[:6]:
        await house.put("archive.file", message)
    house.start("archive")
    await until(lambda: house.holds("archive.dead", 0))
    for message in dead[6:]:
        await house.put("archive.file", message)
    await house.write()
    await house.grown("archive", by=20)
    await house.proven(kept=await house.kept())
    await house.retry_the_dead()
    await house.proven()
