"""procrastinate: a queue in PostgreSQL, with a job for each event, and an inbox.

A job can be inserted in the command's own transaction, so there is nothing to relay. It is finished in another transaction than
its effect's: one that a worker leaves that dies is taken again, under the same id, by the periodic task that
docs/howto/production/retry_stalled_jobs.md asks for.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import uvloop
from procrastinate import App, JobContext, PsycopgConnector
from sqlalchemy.ext.asyncio import async_sessionmaker

from benchmarks.contending import Prepared, Where, Workload, main
from benchmarks.effects import event_class, events
from benchmarks.peers.asynchronous import ALONE, engine_for, in_processes, make_tables, take

BATCH = 1000
PROCESSES = 2
CONCURRENCY = 20


class Procrastinate:
    """Workers with PsycopgConnector, procrastinate's own. Options: `default` leaves every setting as it comes."""

    def __init__(self, where: Where, options: frozenset[str]) -> None:
        self._where, self._options = where, options
        self._tuned = "default" not in options
        # docs/discussions.md, "Mind the size of your PostgreSQL pool": for short jobs, one more than the jobs at once.
        pool: dict[str, Any] = {"max_size": CONCURRENCY + 1} if self._tuned else {}
        self._app = App(connector=PsycopgConnector(conninfo=where.database_url, **pool))
        self._engine = engine_for(where, CONCURRENCY)

    async def prepare(self, workload: Workload, count: int) -> Prepared:
        await make_tables(self._engine)
        made = [{"event": event.model_dump(mode="json")} for event in events(workload, count)]
        async with self._app.open_async():
            await self._app.schema_manager.apply_schema_async()
            for begin in range(0, count, BATCH):
                await self._app.configure_task(workload).batch_defer_async(*made[begin : begin + BATCH])
        await self._engine.dispose()
        return Prepared("", self._where.database_url)

    async def work(self, workload: Workload) -> None:
        # docs/howto/production/concurrency.md: several workers, each a process, and several jobs at once in each.
        if self._tuned and ALONE not in self._options:
            await in_processes("benchmarks.peers.procrastinate_", PROCESSES)
            return
        event_type, sessions = event_class(workload), async_sessionmaker(self._engine, expire_on_commit=False)

        async def run(context: JobContext, event: dict[str, Any]) -> None:
            await take(sessions, workload, UUID(int=context.job.id or 0), event_type.model_validate(event))

        self._app.task(name=workload, pass_context=True)(run)
        # docs/howto/production/delete_finished_jobs.md: the table stays short.
        settings: dict[str, Any] = {"concurrency": CONCURRENCY, "delete_jobs": "successful"} if self._tuned else {}
        try:
            async with self._app.open_async():
                await self._app.run_worker_async(install_signal_handlers=False, **settings)
        finally:
            await self._engine.dispose()


if __name__ == "__main__":
    main(Procrastinate, uvloop.run)
