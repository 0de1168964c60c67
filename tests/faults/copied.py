"""The nursery at work, with both services that copy its plants; how a replica is damaged, and compared with it."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from typing import Any, NamedTuple, Self
from uuid import UUID, uuid4

import psutil
from sqlalchemy import ARRAY, Uuid, bindparam, text

from broker._database import Database
from broker._loop import Loop
from broker._replica_runs import Place, begin
from tests.faults.copies import Copies
from tests.faults.plants import Plant, PlantLabel, PlantReference, Plants
from tests.faults.process import Declared
from tests.waiting import PAUSE

SIZE = 12_000
"""Plants to begin with, of 2 KB each."""

PLACES = {"garden": Place("garden", PlantReference), "shop": Place("shop", PlantLabel)}

PLANT = """
    INSERT INTO plant (plant_id, state_version, name, height, planted_on, uses, notes)
    SELECT gen_random_uuid(), nextval('backbone.state_version'), 'Plant ' || number, number / 8.0,
        CASE WHEN number % 3 > 0 THEN date '2020-02-29' + number % 500 END, '["shade", "tea"]', repeat('Water me. ', 190)
    FROM generate_series(1, :size) AS number
"""

HAS = {
    "garden": "name, height, planted_on, uses, notes",
    "shop": "name || ', ' || notes, height, planted_on IS NOT NULL",
}
"""What each service keeps, in the nursery's columns."""

KEEPS = {"garden": "name, height, planted_on, uses, notes", "shop": "label, height, is_planted"}
"""The same in its own."""

DAMAGE = {
    "lost": "DELETE FROM {table} WHERE id = ANY(:ids) RETURNING id, 'missing'",
    "stale": "UPDATE {table} SET state_version = 0 WHERE id = ANY(:ids) RETURNING id, 'stale'",
    "altered": "UPDATE {table} SET height = -1 WHERE id = ANY(:ids) RETURNING id, 'altered'",
    "advanced": "UPDATE {table} SET state_version = 9000000 WHERE id = ANY(:ids) RETURNING id, 'altered'",
    "moved": """
        WITH moved AS (UPDATE {table} SET id = gen_random_uuid() WHERE id = ANY(:ids) RETURNING id)
        SELECT id, 'surplus' FROM moved UNION ALL SELECT id, 'missing' FROM unnest(:ids) AS id
    """,
}
"""How rows of a replica go wrong; which keys differ then, and how."""


class LastRun(NamedTuple):
    """The last run of a replica."""

    state: str
    rows: int


class Gardener(Loop):
    """Changes, deletes, plants and plants again under an old key, at a steady pace; touches these plants alone and its own."""

    longest_pause = 0.1

    def __init__(self, database: Database, ids: Sequence[UUID]) -> None:
        super().__init__("gardener", interval=0.02)
        self._database, self._chance = database, random.Random(4711)
        self._living, self._gone = list(ids), [uuid4()]
        self.rounds = 0

    async def run_once(self) -> bool:
        """One transaction."""
        changed, deleted = self._chance.sample(self._living, 2)
        created = [uuid4(), self._chance.choice(self._gone)]
        async with self._database.transaction() as session:
            (await session.get_one(Plant, changed)).notes = f"Tended in round {self.rounds}."
            await session.delete(await session.get_one(Plant, deleted))
            session.add_all(map(self._plant, created))
        self._living = [id_ for id_ in self._living if id_ != deleted] + created
        self._gone = [id_ for id_ in self._gone if id_ not in created] + [deleted]
        self.rounds += 1
        return False

    async def plant(self) -> tuple[UUID, int]:
        """Plants one more; gives its key and version."""
        plant = self._plant(uuid4())
        async with self._database.transaction() as session:
            session.add(plant)
            await session.flush()
            return plant.plant_id, plant.state_version

    def _plant(self, id_: UUID) -> Plant:
        return Plant(plant_id=id_, name=f"Round {self.rounds}", uses=[], notes="New.")


class Copied(Copies):
    """Databases, virtual host and processes of the three services."""

    async def open(self, release: Declared | None = None) -> Self:
        """With plants of which nobody was told, and nothing running."""
        await super().open(release or Plants())
        for service in Plants().services().values():
            await self.provide(service, port=0, pool_size=5, journal=True)
        await self.run("nursery", PLANT, size=SIZE)
        self._at_work: dict[str, list[ForkServerProcess]] = defaultdict(list)
        return self

    def start(self, *services: str) -> None:
        """One more copy of each."""
        for service in services:
            self._at_work[service].append(self.start_copy(service, Plants()))

    async def replace(self, service: str) -> None:
        """kill -9 of the copy that started first, and one more copy."""
        await self.kill(self._at_work[service].pop(0))
        self.start(service)

    @contextlib.asynccontextmanager
    async def tending(self, ids: Sequence[UUID]) -> AsyncIterator[Gardener]:
        """Meanwhile a gardener works in the nursery, on these plants."""
        gardener = Gardener(self.databases["nursery"], ids)
        await gardener.start()
        try:
            yield gardener
        finally:
            await gardener.stop()

    @contextlib.asynccontextmanager
    async def weighing(self) -> AsyncIterator[Mapping[str, int]]:
        """Meanwhile it becomes known how many bytes more than now a copy of each service has, at most."""
        now = {service: min(map(_memory, copies)) for service, copies in self._at_work.items()}
        grown: Counter[str] = Counter()

        async def weigh() -> None:
            while True:
                for service, before in now.items():
                    most = max(map(_memory, self._at_work[service]), default=0)
                    grown[service] = max(grown[service], most - before)
                await asyncio.sleep(PAUSE)

        weighing = asyncio.create_task(weigh())
        try:
            yield grown
        finally:
            weighing.cancel()
            await asyncio.wait([weighing])
        assert weighing.cancelled()

    async def is_told(self) -> bool:
        """Whether the broker has heard of the nursery's plants."""
        return bool((await self.rows("nursery", "SELECT count(*) FROM backbone.published"))[0])

    async def is_begun(self) -> bool:
        """Whether both replicas have a run."""
        return all([await self.runs(service) for service in PLACES])

    async def stands_by(self) -> bool:
        """Whether the garden has two copies, of which one does nothing."""
        async with self.management() as management:
            consumers = await management.all_of("consumers")
        return [each["queue"]["name"] for each in consumers].count(PLACES["garden"].queue) == 2

    async def has_seen(self, rows: int) -> bool:
        """Whether the last run of each replica has seen so many rows."""
        return all([(await self.last_run(service)).rows >= rows for service in PLACES])

    async def is_over(self) -> bool:
        """Whether no run is under way."""
        return all([(await self.last_run(service)).state != "running" for service in PLACES])

    async def last_run(self, service: str) -> LastRun:
        """The last run of a service's replica."""
        query = "SELECT state, rows FROM backbone.replica_run ORDER BY began_at DESC LIMIT 1"
        (run,) = await self.rows(service, query)
        return LastRun(*run)

    async def runs(self, service: str) -> list[Any]:
        """Purpose and state of each run."""
        return await self.rows(service, "SELECT purpose, state FROM backbone.replica_run ORDER BY began_at")

    async def damage(self, service: str, ids: Mapping[str, Sequence[UUID]]) -> dict[str, str]:
        """Damages a service's replica, by how; gives the keys that differ then, and how."""
        differ: dict[str, str] = {}
        for how, those in ids.items():
            async with self.databases[service].engine.begin() as connection:
                statement = DAMAGE[how].format(table=PLACES[service].name)
                rows = await connection.execute(text(statement).bindparams(bindparam("ids", list(those), ARRAY(Uuid))))
                differ |= {str(id_): drift for id_, drift in rows}
        return differ

    async def repair(self) -> None:
        """Somebody asks for a repair of both replicas."""
        for service, place in PLACES.items():
            async with self.databases[service].transaction() as session:
                await begin(session, place, "repair", "amani")

    async def repaired(self, service: str) -> dict[str, str]:
        """The keys that were repaired, and how they differed. No other key is in the notes of any run."""
        notes = await self.rows(service, "SELECT key, drift, is_confirmed AND is_repaired FROM backbone.replica_drift")
        assert all(is_repaired for *_, is_repaired in notes)
        return {key: drift for key, drift, _ in notes}

    async def hear_all_of(self, gardener: Gardener) -> None:
        """Returns when both replicas have what was said last."""
        key, version = await gardener.plant()
        for service, place in PLACES.items():
            await place.replica.wait_for(self.databases[service].transaction, key, version, seconds=60)

    async def equal(self) -> None:
        """Both replicas have what the nursery has, to the last column, and nothing has failed."""
        for service, place in PLACES.items():
            has, keeps = (f"md5(ROW(state_version, {columns[service]})::text)" for columns in (HAS, KEEPS))
            owned = await self.rows("nursery", f"SELECT plant_id, {has} FROM plant")
            kept = await self.rows(service, f"SELECT id, {keeps} FROM {place.name} WHERE NOT deleted")
            assert dict(kept) == dict(owned)
        for service in self.databases:
            assert await self.rows(service, "SELECT * FROM backbone.failed_message") == []


def picked(ids: Sequence[UUID], **counts: int) -> dict[str, list[UUID]]:
    """So many of the ids for each name, none of them twice."""
    left = iter(ids)
    return {name: [next(left) for _ in range(count)] for name, count in counts.items()}


def _memory(process: ForkServerProcess) -> int:
    """Bytes that a process has in memory; none of one that was killed."""
    try:
        return int(psutil.Process(process.pid).memory_info().rss)
    except psutil.NoSuchProcess:
        return 0
