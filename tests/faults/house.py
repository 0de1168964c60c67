"""The desk and the archive on real servers, and the proof that nothing was lost, doubled or reordered."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import Counter, defaultdict
from collections.abc import Sequence
from multiprocessing.context import ForkServerProcess
from typing import Any, Self
from uuid import UUID

import aiormq
from aiormq.abc import AbstractChannel, DeliveredMessage
from aiormq.exceptions import AMQPError
from sqlalchemy import select

from broker import Service, publish
from broker._alignment import prune
from broker._flows import Flows
from broker._replay import Retrier
from tests.faults.copies import Copies
from tests.faults.process import Declared
from tests.faults.services import ROLES, Folder, NoteWritten, Orders, Release, Shelf
from tests.waiting import until

FOLDERS = [f"folder-{number}" for number in range(12)]

WITHOUT_EFFECT = """
    SELECT id, subscription FROM backbone.failed_message failed
    WHERE NOT EXISTS (SELECT FROM backbone.inbox seen WHERE seen.id = failed.id AND seen.subscription = failed.subscription)
"""
"""Who shovels can have a message handled while it is taken in as dead: a retry then closes it without a second effect."""


class House(Copies):
    """Databases, virtual host and processes of the two services."""

    async def open(self, release: Declared | None = None) -> Self:
        """With empty tables, folders and shelves, and the first release's topology."""
        await super().open(release or Release())
        for service in self.services.values():
            await self.provide(service, journal=True, port=0, batch_count=20, relay_batch=20, pool_size=5)
        async with self.databases["desk"].transaction() as session:
            session.add(Orders(one=True, writing=False))
            session.add_all(Folder(id=name, number=0) for name in FOLDERS)
        async with self.databases["archive"].transaction() as session:
            session.add_all(Shelf(id=number, touched=0) for number in (1, 2))
        self._connection = await aiormq.connect(self.amqp_url)
        self.channel: AbstractChannel = await self._connection.channel()
        return self

    async def apply(self, release: Declared) -> None:
        """Brings the virtual host in line with a release, and computes from now on with its names."""
        await super().apply(release)
        self.services: dict[str, Service] = release.services()

    @property
    def flows(self) -> Flows:
        """What is under way in both databases."""
        return Flows({service: self.databases[name] for name, service in self.services.items()})

    async def prune(self, release: Release) -> list[str]:
        """Removes what a release does not declare; says what, without bindings."""
        async with self.management() as management:
            pruned = await prune(management, self.topology(release), self.amqp_url)
        return [str(item) for item in pruned.removed if item.kind != "binding"]

    def start(self, service: str, release: Release | None = None, *, haste: float = 1.0) -> ForkServerProcess:
        """One more copy of a service; see Copy."""
        return self.start_copy(service, release or Release(), haste=haste)

    async def write(self, writing: bool = True) -> None:
        """Orders the writers of all copies to write, or not to."""
        await self.run("desk", "UPDATE orders SET writing = :writing", writing=writing)

    async def notes(self, *hows: str, folders: Sequence[str] = FOLDERS) -> None:
        """One note for each of `hows`, folder by folder, in one transaction."""
        async with self.databases["desk"].transaction() as session:
            found = {
                folder.id: folder for folder in await session.scalars(select(Folder).order_by(Folder.id).with_for_update())
            }
            for how, folder in zip(hows, itertools.cycle(folders)):
                publish(session, found[folder].write(NoteWritten, how))

    async def grown(self, service: str = "archive", by: int = 1, table: str = "backbone.inbox") -> None:
        """Returns when so many more rows are in a table."""
        (before,) = await self.rows(service, f"SELECT count(*) FROM {table}")

        async def more() -> bool:
            return bool((await self.rows(service, f"SELECT count(*) >= :least FROM {table}", least=before + by))[0])

        await until(more)

    async def is_writing(self, service: str) -> bool:
        """Whether a transaction that wrote effects is open in the service's database: a batch is in the middle."""
        query = "SELECT count(*) FROM pg_locks WHERE relation = 'effect'::regclass AND mode = 'RowExclusiveLock'"
        return bool((await self.rows(service, query))[0])

    async def depth(self, queue: str) -> int:
        """How many messages are ready in a queue."""
        return (await self.channel.queue_declare(queue, passive=True)).message_count or 0

    async def take(self, queue: str) -> list[DeliveredMessage]:
        """Takes all there is out of a queue."""
        taken = []
        while (message := await self.channel.basic_get(queue, no_ack=True)).delivery_tag is not None:
            taken.append(message)
        return taken

    async def put(self, queue: str, message: DeliveredMessage) -> None:
        """Puts a message into a queue, as a shovel does: by the default exchange."""
        await self.channel.basic_publish(message.body, routing_key=queue, properties=message.header.properties)

    async def give_up(self, queue: str, count: int, *, keep: int = 0) -> None:
        """Has the broker give up the `count` messages of a queue but for the first ones, which stay in their place."""
        channel = await self._connection.channel()
        tags: asyncio.Queue[int] = asyncio.Queue()

        async def note(message: DeliveredMessage) -> None:
            tags.put_nowait(message.delivery_tag or 0)

        await channel.basic_consume(queue, note)
        for place in range(count):
            tag = await tags.get()
            if place >= keep:
                await channel.basic_reject(tag, requeue=False)
        await channel.close()
        await until(lambda: self.holds("archive.dead", count - keep))

    async def holds(self, queue: str, count: int) -> bool:
        """Whether so many messages are ready in a queue."""
        return await self.depth(queue) == count

    async def failed(self, service: str = "archive") -> list[Any]:
        """The failed messages' state and key, in order of arrival."""
        return await self.rows(service, "SELECT state, key FROM backbone.failed_message ORDER BY position")

    async def kept(self) -> int:
        """How many failed messages there are once nothing is written or under way any more."""
        await self.write(False)
        await self.flows.settled(seconds=60)
        return len(await self.failed())

    async def proven(self, *, kept: int = 0) -> None:
        """Ends the writing, waits until all is over, and holds the effects against the journal and the owner's own count.

        kept: how many messages of the archive are failed ones. Each event has, in each subscription bound when it was relayed,
        one effect or is one of these, and one in all where it was relayed to both names of a subscription; per key the effects
        are in the order of writing, without a gap.
        """
        assert await self.kept() == kept, await self.failed()
        assert await self.flows.lost() == []
        assert await self.flows.order_violations() == []
        assert await self.failed("desk") == []
        expected: Counter[tuple[UUID, str]] = Counter()
        done: Counter[tuple[UUID, str]] = Counter()
        for service in self.databases:
            assert await self.rows(service, "SELECT count(*) FROM backbone.outbox") == [0]
            journal = await self.rows(service, "SELECT id, subscriptions FROM backbone.published")
            expected.update(
                (id_, role) for id_, queues in journal for role in {ROLES[queue] for queue in queues if queue in ROLES}
            )
            done.update(await self.rows(service, "SELECT source, role FROM effect"))
            failed = await self.rows(service, WITHOUT_EFFECT)
            done.update((id_, ROLES[f"{service}.{subscription}"]) for id_, subscription in failed)
        assert expected - done == Counter()
        assert set(done.values()) == {1}
        await self._in_order()
        await self._published_what_was_committed()

    async def _in_order(self) -> None:
        for service in self.databases:
            numbers: dict[tuple[str, str], list[int]] = defaultdict(list)
            for role, folder, number in await self.rows(service, "SELECT role, folder, number FROM effect ORDER BY position"):
                numbers[role, folder].append(number)
            for (role, folder), each in numbers.items():
                assert each == list(range(each[0], each[0] + len(each))), (role, folder, each)

    async def _published_what_was_committed(self) -> None:
        committed = await self.rows("desk", "SELECT id, number FROM folder ORDER BY id")
        assert await self.rows("archive", "SELECT id, number FROM folder_copy ORDER BY id") == committed
        query = "SELECT key, count(*) FROM backbone.published WHERE type = 'note.written' GROUP BY key ORDER BY key"
        assert await self.rows("desk", query) == [(folder, number) for folder, number in committed if number]

    async def retry_the_dead(self) -> None:
        """Does what a person does once the code is repaired: retries each dead letter, and so what lies behind it."""
        retrier = Retrier(self.databases["archive"], self.services["archive"])
        query = "SELECT position, subscription, key FROM backbone.failed_message WHERE state = 'dead' ORDER BY position"
        for position, subscription, key in await self.rows("archive", query):
            assert (await retrier.retry(position)).is_over
            await retrier.follow(subscription, key)

    async def close(self) -> None:
        """Kills what still runs."""
        await super().close()
        with contextlib.suppress(AMQPError):  # the broker may have been killed
            await self._connection.close()
