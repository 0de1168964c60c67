"""That a flow is over is sound: whatever happens between the reading of one database and of the next."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncEngine

from broker import _sight
from broker._context import uuid7
from broker._database import engine_for
from broker._sight import Sight
from broker.testing.scratch import Databases

SERVICES = ("kitchen", "office", "ward")
STEPS = 30
"""Events of a flow, at most."""

SAY = text(
    """
    INSERT INTO backbone.outbox (slot, position, id, type, key, version, sequence, flow, cause, occurred_at, body)
    SELECT slot, nextval('backbone.outbox_position'), :id, 'said', 'k', 1, 1, :flow, :cause, now(), ''
    FROM backbone.outbox_state
    """
)
RELAY = text(
    """
    WITH gone AS (
        DELETE FROM backbone.outbox WHERE id = :id RETURNING id, position, type, key, sequence, flow, cause, occurred_at
    )
    INSERT INTO backbone.published (id, position, type, key, sequence, flow, cause, occurred_at, subscriptions)
    SELECT gone.*, :queues FROM gone
    """
)
HANDLE = text("INSERT INTO backbone.inbox (id, subscription, key, flow) VALUES (:id, 'hear', 'k', :flow)")


@dataclass
class Chance:
    """Services that say, relay and handle as chance will have it; what they handle says more, in the same transaction."""

    engines: Mapping[str, AsyncEngine]
    flow: UUID
    random: random.Random
    is_narrow: bool
    """Whether one thing follows from another, so that there is one place where it goes on; else many at once."""

    left: int = STEPS
    one_by_one: asyncio.Lock = field(default_factory=asyncio.Lock)
    unsent: list[tuple[str, UUID]] = field(default_factory=list)
    owed: list[tuple[str, UUID]] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        """Whether nothing is under way."""
        return not self.unsent and not self.owed

    async def says(self, service: str, cause: UUID | None = None, connection: Any = None) -> None:
        """One service says something."""
        id_ = uuid7()
        values = {"id": id_, "flow": self.flow, "cause": cause}
        if connection is None:
            async with self.engines[service].begin() as own:
                await own.execute(SAY, values)
        else:
            await connection.execute(SAY, values)
        self.left -= 1
        self.unsent.append((service, id_))

    async def step(self) -> None:
        """Something happens, if anything can: one thing after the other, each committed before the next."""
        async with self.one_by_one:
            ways = [way for way, can in ((self._relays, self.unsent), (self._handles, self.owed)) if can]
            if ways:
                await self.random.choice(ways)()

    async def _relays(self) -> None:
        service, id_ = self.unsent.pop(self.random.randrange(len(self.unsent)))
        hear = self.random.sample(SERVICES, 1 if self.is_narrow else self.random.randrange(4))
        async with self.engines[service].begin() as connection:
            await connection.execute(RELAY, {"id": id_, "queues": [f"{each}.hear" for each in hear]})
        self.owed += [(each, id_) for each in hear]

    async def _handles(self) -> None:
        service, id_ = self.owed.pop(self.random.randrange(len(self.owed)))
        async with self.engines[service].begin() as connection:
            await connection.execute(HANDLE, {"id": id_, "flow": self.flow})
            for _ in range(self.random.choice((1,) if self.is_narrow else (0, 0, 1, 1, 2)) if self.left > 0 else 0):
                await self.says(service, id_, connection)


@pytest.fixture(scope="module")
async def engines(servers: Any) -> AsyncIterator[Mapping[str, AsyncEngine]]:
    """A database for each service."""
    databases = Databases(servers.postgres_url)
    made = {name: engine_for(await databases(), pool_size=1) for name in SERVICES}
    yield made
    for engine in made.values():
        await engine.dispose()
    await databases.drop()


@pytest.mark.parametrize("seed", range(25))
async def test_over_is_over(engines: Mapping[str, AsyncEngine], seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between any two reads anything may happen: who sees nothing open sees all that ever was, and nothing comes after it."""
    chance = Chance(engines, uuid7(), random.Random(seed), is_narrow=seed % 2 == 0)
    read = _sight._rows

    async def read_amid(engine: AsyncEngine, statement: TextClause, values: Mapping[str, object]) -> Sequence[Any]:
        for _ in range(chance.random.randrange(4)):
            await chance.step()
        return await read(engine, statement, values)

    monkeypatch.setattr(_sight, "_rows", read_amid)
    for service in SERVICES[: 1 if chance.is_narrow else 2]:
        await chance.says(service)
    sight = Sight(engines, chance.flow, {})
    looks = 0
    while True:
        await sight.look()
        looks += 1
        if not sight.open():
            break
        assert looks < 10 * STEPS, f"seen open: {sight.open()}, {sight.owed}, though over: {chance.is_over}"
        await chance.step()
    assert chance.is_over
    whole = Sight(engines, chance.flow, {})
    await whole.look()
    assert {event.id for event in sight.said} == {event.id for event in whole.said}
