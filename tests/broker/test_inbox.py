"""The inbox knows what took effect, in partitions that come ahead of time and go when nothing can ask for them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from broker import _inbox as inbox
from broker._context import uuid7
from broker._inbox import InboxKeeper, Taken, first_id, partition_name
from broker.testing.scratch import Databases
from tests.broker.consuming import Happened, Ledger, envelope_of

RETENTION = timedelta(days=14)


@pytest.fixture
async def ledger(database: Databases) -> AsyncIterator[Ledger]:
    ledger = await Ledger.at(await database())
    yield ledger
    await ledger.database.close()


def keeper(ledger: Ledger, *subscriptions: str) -> InboxKeeper:
    return InboxKeeper(ledger.database, subscriptions or ("write_down",), retention=RETENTION)


def id_of(day: datetime) -> UUID:
    """An id made at noon of that day."""
    return UUID(int=first_id(day.date()).int + (12 * 3600 * 1000 << 80) + uuid7().int % 2**76)


async def remember(ledger: Ledger, day: datetime, subscription: str = "write_down") -> None:
    """Writes down that a message of that day was handled at once."""
    async with ledger.database.engine.begin() as connection:
        await connection.execute(
            text("INSERT INTO backbone.inbox (id, subscription, key, handled_at) VALUES (:id, :subscription, 'key', :day)"),
            {"id": id_of(day), "subscription": subscription, "day": day},
        )


async def partitions(ledger: Ledger) -> set[str]:
    names = await ledger.rows("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'backbone.inbox'::regclass")
    return set(names)


async def add_partition(ledger: Ledger, day: datetime) -> str:
    """A partition as the keeper made it on that day."""
    await keeper(ledger)._make(day.date())
    return f"backbone.{partition_name(day.date())}"


async def test_says_what_is_new(ledger: Ledger) -> None:
    """Only messages that neither took effect nor failed are new, and they are written down."""
    seen, free = (envelope_of(Happened(thing=thing, number=0)) for thing in ("seen", "free"))
    async with ledger.database.transaction() as session:
        assert await inbox.take(session, "write_down", [seen], hold=True) == Taken(frozenset({seen.id}), frozenset())
    async with ledger.database.transaction() as session:
        assert await inbox.take(session, "write_down", [seen, free], hold=True) == Taken(frozenset({free.id}), frozenset())
        assert await inbox.take(session, "another", [seen], hold=True) == Taken(frozenset({seen.id}), frozenset())
    assert sorted(await ledger.rows("SELECT key FROM backbone.inbox WHERE subscription = 'write_down'")) == ["free", "seen"]


async def test_numbers_effects_in_their_order(ledger: Ledger) -> None:
    """The inbox's position follows the order of the batch."""
    envelopes = [envelope_of(Happened(thing=str(number), number=number)) for number in range(50)]
    async with ledger.database.transaction() as session:
        await inbox.take(session, "write_down", list(reversed(envelopes)), hold=True)
    assert await ledger.rows("SELECT key FROM backbone.inbox ORDER BY position") == [str(n) for n in reversed(range(50))]


async def test_makes_partitions_ahead(ledger: Ledger) -> None:
    """Partitions for yesterday and the next days are there; what the default partition holds of them moves in."""
    today = datetime.now(UTC)
    await remember(ledger, today)
    for _ in range(2):
        assert not await keeper(ledger).run_once()
    days = [partition_name((today + timedelta(days=day)).date()) for day in range(-1, 4)]
    assert await partitions(ledger) == {"backbone.inbox_default", *(f"backbone.{name}" for name in days)}
    assert await ledger.rows("SELECT tableoid::regclass::text FROM backbone.inbox") == [f"backbone.{days[1]}"]
    await remember(ledger, today)
    assert await ledger.inbox() == 2


async def test_a_busy_table_is_left_alone(ledger: Ledger) -> None:
    """What a table that others use refuses is no failure: it is tried again soon, and done then."""
    making = keeper(ledger)
    async with ledger.database.engine.begin() as connection:
        await connection.execute(text("LOCK TABLE backbone.inbox_default IN ROW EXCLUSIVE MODE"))
        assert not await making.run_once()
        assert making.interval == inbox.SOON
    assert not await making.run_once()
    assert making.interval > inbox.SOON
    assert len(await partitions(ledger)) == 6


async def test_forgets_what_is_long_past(ledger: Ledger) -> None:
    """A partition goes once something was handled that is younger by more than the retention."""
    now = datetime.now(UTC)
    old = await add_partition(ledger, now - timedelta(days=20))
    await remember(ledger, now - timedelta(days=20))
    await remember(ledger, now)
    await keeper(ledger).run_once()
    assert old not in await partitions(ledger)
    assert await ledger.inbox() == 1


async def test_never_forgets_by_the_wall_clock(ledger: Ledger) -> None:
    """After a stop of three weeks nothing is forgotten: the broker may be about to deliver those very messages again."""
    now = datetime.now(UTC)
    old = await add_partition(ledger, now - timedelta(days=21))
    await remember(ledger, now - timedelta(days=21))
    await keeper(ledger).run_once()
    assert old in await partitions(ledger)


async def test_waits_for_the_slowest_subscription(ledger: Ledger) -> None:
    """A partition stays while one subscription has handled nothing newer, and one that nobody declares counts for nothing."""
    now = datetime.now(UTC)
    old = await add_partition(ledger, now - timedelta(days=21))
    for subscription in ("write_down", "slow", "gone"):
        await remember(ledger, now - timedelta(days=21), subscription)
    await remember(ledger, now)
    await keeper(ledger, "write_down", "slow").run_once()
    assert old in await partitions(ledger)
    await remember(ledger, now, "slow")
    await keeper(ledger, "write_down", "slow").run_once()
    assert old not in await partitions(ledger)
