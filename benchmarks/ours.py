"""The backbone, measured: the same work as the usual way's."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import asyncpg
from sqlalchemy import func, select

from benchmarks.ground import READER, AccountReference, Entry, Ground
from broker import Subscription, publish
from broker._database import Database, engine_for
from broker._failures import Failures
from broker._relay import Relay
from broker._replica_processor import ReplicaProcessor, replica_fed_by
from broker._subscriber import EventBroker, subscribers_for
from contracts.event import Event
from tests.waiting import until


class Backbone:
    """A publisher's and a subscriber's processes, in this one."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._publisher = Database(engine_for(ground.ledger.database_url), "ledger")
        self._reader = Database(engine_for(ground.reader.database_url), "reader")

    async def open(self) -> None:
        """Connects the watcher that counts."""
        self._watcher = await asyncpg.connect(self._ground.ledger.database_url)

    async def close(self) -> None:
        """Closes every connection."""
        await self._watcher.close()
        await self._publisher.close()
        await self._reader.close()

    async def command(self, event: Event) -> None:
        """A command: a transaction that publishes."""
        async with self._publisher.transaction() as session:
            publish(session, event)

    async def fill(self, events: Sequence[Event]) -> None:
        """Puts events into the outbox at once: not measured."""
        async with self._publisher.transaction() as session:
            for event in events:
                publish(session, event)

    async def relay(self) -> None:
        """Sends all that waits."""
        relay = Relay("ledger", self._ground.ledger, subscribed={})
        await relay.start()
        await until(self._is_empty, within=600)
        await relay.stop()

    async def consume(self, count: int) -> None:
        """Handles `count` postings."""
        await self._take(Entry, count)

    async def replicate(self, count: int) -> None:
        """Takes over `count` states of accounts."""
        await self._take(AccountReference, count)

    async def _take(self, table: type[Entry] | type[AccountReference], count: int) -> None:
        failures = Failures(READER)
        broker = EventBroker(READER, self._ground.reader)

        def processor(subscription: Subscription) -> ReplicaProcessor | None:
            fed = replica_fed_by(READER, subscription)
            return ReplicaProcessor(self._reader, READER, subscription, failures) if fed else None

        subscribers_for(READER, self._ground.reader, self._reader, failures, broker, processor=processor)
        before = await self._rows(table)
        await broker.start()
        await until(partial(self._has, table, before + count), within=600)
        await broker.stop()

    async def _has(self, table: type[Entry] | type[AccountReference], count: int) -> bool:
        return await self._rows(table) >= count

    async def _rows(self, table: type[Entry] | type[AccountReference]) -> int:
        async with self._reader.engine.connect() as connection:
            return await connection.scalar(select(func.count()).select_from(table)) or 0

    async def _is_empty(self) -> bool:
        return not await self._watcher.fetchval("SELECT EXISTS (SELECT FROM backbone.outbox)")
