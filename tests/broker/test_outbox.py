"""The outbox as the relay reads it: in order whatever commits late, and never a pile of deleted rows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from broker._database import Database, engine_for
from broker._outbox import Outbox
from broker._publishing import publish, write_buffer
from broker.errors import EventTooLarge, ForeignEvent
from contracts.event import Event
from tests.waiting import until


class Moved(Event, name="parcel.moved", version=1, key="parcel_id", publisher="post"):
    """A parcel was moved."""

    parcel_id: UUID
    step: int
    note: str = ""


class Base(DeclarativeBase):
    """The post's tables."""


class Stamp(Base):
    """Something that must have a value."""

    __tablename__ = "stamp"

    id: Mapped[int] = mapped_column(primary_key=True)
    value: Mapped[int]


class Post:
    """One service's database, seen by publishers and by the relay."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.database = Database(engine_for(url), "post")
        self._connections: list[asyncpg.Connection] = []

    async def connect(self) -> asyncpg.Connection:
        connection = await asyncpg.connect(self.url)
        self._connections.append(connection)
        return connection

    async def outbox(self, *, rotate_after: int = 1_000_000) -> Outbox:
        outbox = Outbox("post", await self.connect(), await self.connect(), rotate_after=rotate_after)
        await outbox.load()
        return outbox

    async def publish(self, *events: Event) -> None:
        async with self.database.transaction() as session:
            for event in events:
                publish(session, event)

    async def close(self) -> None:
        for connection in self._connections:
            await connection.close()
        await self.database.close()


@pytest.fixture
async def post(database: Any) -> AsyncIterator[Post]:
    """The database of the service `post`."""
    made = Post(await database())
    yield made
    await made.close()


async def drain(outbox: Outbox) -> list[int]:
    """Sends and forgets all there is; gives the positions in the order they went out."""
    gone: list[int] = []
    while rows := await outbox.oldest(100):
        positions = [row.position for row in rows]
        await outbox.delete(positions)
        gone += positions
    return gone


async def test_what_is_not_committed_is_not_there(post: Post) -> None:
    """An event is published if and only if its transaction commits."""
    with pytest.raises(RuntimeError):
        async with post.database.transaction() as session:
            publish(session, Moved(parcel_id=uuid4(), step=1))
            raise RuntimeError
    await post.publish(Moved(parcel_id=uuid4(), step=2))
    (row,) = await (await post.outbox()).oldest(10)
    assert b'"step":2' in row.envelope.body


async def test_a_rolled_back_savepoint_takes_its_events_along(post: Post) -> None:
    """What was published inside it never happened; what came before and after did."""
    parcel = uuid4()
    async with post.database.transaction() as session:
        publish(session, Moved(parcel_id=parcel, step=1))
        with pytest.raises(RuntimeError):
            async with session.begin_nested():
                async with session.begin_nested():
                    publish(session, Moved(parcel_id=parcel, step=2))
                raise RuntimeError
        async with session.begin_nested():
            publish(session, Moved(parcel_id=parcel, step=3))
    rows = await (await post.outbox()).oldest(10)
    assert [int(row.envelope.body.split(b'"step":')[1].split(b",")[0]) for row in rows] == [1, 3]


async def test_a_savepoint_whose_flush_fails_takes_its_events_along(post: Post) -> None:
    """What was published in a savepoint that the database refused to flush never happened."""
    async with post.database.transaction() as session:
        await (await session.connection()).run_sync(Base.metadata.create_all)
        publish(session, Moved(parcel_id=uuid4(), step=1))
        with pytest.raises(IntegrityError):
            async with session.begin_nested():
                publish(session, Moved(parcel_id=uuid4(), step=2))
                session.add(Stamp(value=None))
                await session.flush()
    (row,) = await (await post.outbox()).oldest(10)
    assert b'"step":1' in row.envelope.body


async def test_another_services_event_is_refused(post: Post) -> None:
    """Only the owner of an event says it."""

    class Sold(Event, name="parcel.sold", key="parcel_id", publisher="shop"):
        parcel_id: UUID

    with pytest.raises(ForeignEvent, match="shop"):
        await post.publish(Sold(parcel_id=uuid4()))


async def test_a_body_over_the_limit_is_refused(post: Post) -> None:
    """256 KiB is the limit, and the transaction does not commit without its event."""
    with pytest.raises(EventTooLarge):
        await post.publish(Moved(parcel_id=uuid4(), step=1, note="x" * 300_000))
    assert await (await post.outbox()).oldest(10) == []


async def test_a_key_waits_for_its_writer_and_others_do_not(post: Post) -> None:
    """A second transaction on the same key draws its position only after the first has ended."""
    contested, free = uuid4(), uuid4()
    async with post.database.lent() as first:
        publish(first, Moved(parcel_id=contested, step=1))
        await first.run_sync(write_buffer)
        second = asyncio.create_task(post.publish(Moved(parcel_id=contested, step=2)))
        await post.publish(Moved(parcel_id=free, step=1))
        await waiting_for_a_lock(post)
        assert not second.done()
        await first.settle()
    await second
    steps = [row.envelope.body for row in await (await post.outbox()).oldest(10) if row.envelope.subject == str(contested)]
    assert [b'"step":1' in steps[0], b'"step":2' in steps[1]] == [True, True]


async def waiting_for_a_lock(post: Post) -> None:
    """Comes back when a session of this database waits for an advisory lock."""
    watcher = await post.connect()
    async with asyncio.timeout(10):
        while not await watcher.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'"
        ):
            pass


@pytest.mark.parametrize("patience", [60, 0])
async def test_a_row_that_commits_late_is_still_seen_first(post: Post, patience: float) -> None:
    """What may still commit is not passed for good, also not when a slow transaction's positions are read past meanwhile."""
    outbox = await post.outbox()
    outbox.patience = patience
    slow, fast = uuid4(), uuid4()
    async with post.database.lent() as late:
        publish(late, Moved(parcel_id=slow, step=1))
        await late.run_sync(write_buffer)
        await post.publish(Moved(parcel_id=fast, step=1))
        await drain(outbox)
        for _ in range(4):
            await outbox.tidy()
        assert (outbox.low_water, outbox.reads_above) == (0, 0 if patience else 2)
        await late.settle()
    await post.publish(Moved(parcel_id=slow, step=2))
    rows = await outbox.oldest(10)
    assert [row.envelope.subject for row in rows] == [str(slow), str(slow)]
    assert rows[0].position < rows[1].position


async def test_the_low_water_position_follows_what_is_gone(post: Post) -> None:
    """Once nothing can appear below, the relay never looks there again, and the next one starts there."""
    outbox = await post.outbox()
    await post.publish(*(Moved(parcel_id=uuid4(), step=step) for step in range(50)))
    await drain(outbox)

    async def risen() -> bool:
        await outbox.tidy()
        return outbox.low_water > 0

    await until(risen)
    assert outbox.low_water == 50
    await outbox.save()
    assert (await post.outbox()).low_water == 50


async def test_a_slow_transaction_that_ended_is_waited_for_no_more(post: Post) -> None:
    """Once it has committed and its rows are gone, the low-water position is above them."""
    outbox = await post.outbox()
    outbox.patience = 0
    async with post.database.lent() as late:
        publish(late, Moved(parcel_id=uuid4(), step=1))
        await late.run_sync(write_buffer)
        for step in range(5):
            await post.publish(Moved(parcel_id=uuid4(), step=step))
            await drain(outbox)
            for _ in range(2):
                await outbox.tidy()
        await late.settle()
    await drain(outbox)

    async def risen() -> bool:
        await outbox.tidy()
        return outbox.low_water == 6

    await until(risen)
    assert outbox.reads_above == 6


async def test_it_is_in_order_until_something_passes(post: Post) -> None:
    """Then the low-water position has to rise, which takes as long as somebody writes who may still commit below it."""
    outbox = await post.outbox()

    async def is_tidy() -> bool:
        await outbox.tidy()
        return outbox.is_tidy

    assert not outbox.is_tidy
    await until(is_tidy)
    async with post.database.lent() as late:
        publish(late, Moved(parcel_id=uuid4(), step=1))
        await late.run_sync(write_buffer)
        await post.publish(Moved(parcel_id=uuid4(), step=1))
        assert outbox.is_tidy
        await drain(outbox)
        for _ in range(4):
            assert not await is_tidy()
        await late.settle()
    await drain(outbox)
    await until(is_tidy)
    assert outbox.low_water == 2


async def test_who_writes_in_another_database_holds_nothing_up(post: Post, database: Any) -> None:
    """A transaction of a neighbour on the same server goes on and on, and the low-water position rises all the same."""
    neighbour = await asyncpg.connect(await database())
    outbox = await post.outbox()
    outbox.patience = 0
    async with neighbour.transaction():
        assert await neighbour.fetchval("SELECT pg_current_xact_id()::text::bigint") > 0
        await post.publish(Moved(parcel_id=uuid4(), step=1))
        await drain(outbox)

        async def risen() -> bool:
            await outbox.tidy()
            return outbox.low_water == 1

        await until(risen)
    await neighbour.close()


async def test_the_very_first_event_is_not_passed_by(post: Post) -> None:
    """A relay that was there before anything was ever published sees the first position too."""
    outbox = await post.outbox()
    for _ in range(4):
        await outbox.tidy()
    await post.publish(Moved(parcel_id=uuid4(), step=1))
    assert [row.position for row in await outbox.oldest(10)] == [1]


async def test_a_table_of_deleted_rows_is_emptied_under_an_old_snapshot(post: Post) -> None:
    """Although vacuum may not clean for an old reader, the children of the outbox take turns and are truncated."""
    old = await post.connect()
    reading = old.transaction(isolation="repeatable_read", readonly=True)
    await reading.start()
    await old.fetchval("SELECT count(*) FROM pg_class")
    outbox = await post.outbox(rotate_after=100)
    for _ in range(4):
        await post.publish(*(Moved(parcel_id=uuid4(), step=step) for step in range(150)))
        await drain(outbox)
        for _ in range(3):
            await outbox.tidy()
    await reading.rollback()
    watcher = await post.connect()
    sizes = await watcher.fetch("SELECT pg_relation_size('backbone.outbox_' || slot) AS bytes FROM generate_series(0, 2) slot")
    assert sum(row["bytes"] == 0 for row in sizes) >= 2


async def test_a_child_with_a_writer_in_it_is_left_alone(post: Post) -> None:
    """A transaction that chose its child before the turn loses nothing."""
    outbox = await post.outbox(rotate_after=1)
    await post.publish(Moved(parcel_id=uuid4(), step=1))
    async with post.database.lent() as slow:
        publish(slow, Moved(parcel_id=uuid4(), step=2))
        await slow.run_sync(write_buffer)
        await drain(outbox)
        await outbox.tidy()
        await outbox.tidy()
        await slow.settle()
    (row,) = await outbox.oldest(10)
    assert b'"step":2' in row.envelope.body


async def test_rows_on_their_way_and_held_keys_are_left_out(post: Post) -> None:
    """What is being sent is not sent twice, and a held key's rows stay back while others go on."""
    outbox = await post.outbox()
    held = uuid4()
    await post.publish(Moved(parcel_id=held, step=1), Moved(parcel_id=uuid4(), step=2), Moved(parcel_id=uuid4(), step=3))
    first = (await outbox.oldest(10))[1].position
    rows = await outbox.oldest(10, without=[first], held=[str(held)])
    assert [b'"step":3' in row.envelope.body for row in rows] == [True]
