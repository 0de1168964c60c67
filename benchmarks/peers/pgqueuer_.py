"""PgQueuer: a queue in PostgreSQL, with a job for each event, and an inbox.

A job can be inserted in the command's own transaction, so there is nothing to relay. Jobs are fetched and finished in batches,
not in the transactions of their effects: those that a worker leaves that dies are taken again, under the same ids.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import asyncpg
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver, AsyncpgPoolDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries
from sqlalchemy.ext.asyncio import async_sessionmaker

from benchmarks.contending import Prepared, Where, Workload, main
from benchmarks.effects import event_class, events
from benchmarks.peers.asynchronous import ALONE, engine_for, in_processes, make_tables, take

BATCH = 1000
PROCESSES = 2
TUNED = {
    # docs/guides/performance-tuning.md, "Batch size": more for short jobs; "Concurrency limits": at least twice as many.
    "batch_size": 100,
    "max_concurrent_tasks": 200,
}


class PgQueuerPeer:
    """Its own workers, with its durable tables. Options: `default` leaves every setting as it comes."""

    def __init__(self, where: Where, options: frozenset[str]) -> None:
        self._where, self._options = where, options
        self._tuned = "default" not in options
        self._engine = engine_for(where)

    async def prepare(self, workload: Workload, count: int) -> Prepared:
        await make_tables(self._engine)
        await self._engine.dispose()
        connection = await asyncpg.connect(self._where.database_url)
        queries = Queries(AsyncpgDriver(connection))
        await queries.install()
        if self._tuned:
            # docs/guides/performance-tuning.md, "Autovacuum tuning".
            await queries.optimize_autovacuum()
        made = [event.model_dump_json().encode() for event in events(workload, count)]
        for begin in range(0, count, BATCH):
            batch = made[begin : begin + BATCH]
            await queries.enqueue([workload] * len(batch), list(batch), [0] * len(batch))
        await connection.close()
        return Prepared("", self._where.database_url)

    async def work(self, workload: Workload) -> None:
        # docs/guides/deployment.md: several workers, each a process.
        if self._tuned and ALONE not in self._options:
            await in_processes("benchmarks.peers.pgqueuer_", PROCESSES)
            return
        event_type, sessions = event_class(workload), async_sessionmaker(self._engine, expire_on_commit=False)
        queue = PgQueuer(await self._driver())

        async def run(job: Job) -> None:
            await take(sessions, workload, UUID(int=job.id), event_type.model_validate_json(job.payload or b""))

        queue.entrypoint(workload)(run)
        settings: dict[str, Any] = TUNED if self._tuned else {}
        try:
            await queue.run(**settings)
        finally:
            await self._engine.dispose()

    async def _driver(self) -> AsyncpgDriver | AsyncpgPoolDriver:
        if "pool" in self._options:
            pool = await asyncpg.create_pool(self._where.database_url, min_size=5, max_size=20)
            return AsyncpgPoolDriver(pool)
        return AsyncpgDriver(await asyncpg.connect(self._where.database_url))


if __name__ == "__main__":
    main(PgQueuerPeer, uvloop.run)
