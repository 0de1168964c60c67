"""Taskiq with taskiq-aio-pika: a task for each event, acknowledged when it has been executed, and an inbox.

An event is published after the commit that it tells of, so a crash in between loses it: that is what `relay` measures. A task
that raises is acknowledged all the same, which is Taskiq's way; a worker that dies has its tasks delivered again.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Annotated
from uuid import UUID

import uvloop
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from taskiq import Context, TaskiqDepends
from taskiq_aio_pika import AioPikaBroker
from taskiq_aio_pika.queue import Queue, QueueType

from benchmarks.contending import Prepared, Told, Where, say
from benchmarks.effects import Account, AccountState, Base, Posting, accounts, events, exactly_once

QUEUE = "taskiq_peer"
WORKER = ["--workers", "2", "--log-level", "WARNING"]
PREFETCH = "100"
"""For a worker process: `qos` of the broker; 10 by default, of which no more can be at work however many tasks may be."""

AT_ONCE = 100
"""Publishing tasks, when tuned, as requests to a server that uses asyncio."""

where = Where.from_environment()
broker = AioPikaBroker(
    where.amqp_url,
    qos=int(os.environ.get("BENCH_TASKIQ_QOS", "10")),
    task_queues=[Queue(name=QUEUE, type=QueueType.QUORUM)],
)
engine = create_async_engine(where.database_url.replace("://", "+asyncpg://", 1), pool_size=20)
sessions = async_sessionmaker(engine, expire_on_commit=False)


async def _take(workload: str, context: Context, event: Posting | AccountState) -> None:
    async with sessions() as session:
        await exactly_once(session, workload, UUID(context.message.task_id), event)
        await session.commit()


async def _insert(event: Posting, context: Annotated[Context, TaskiqDepends()]) -> None:
    await _take("insert", context, event)


async def _update(event: Posting, context: Annotated[Context, TaskiqDepends()]) -> None:
    await _take("update", context, event)


async def _replicate(event: AccountState, context: Annotated[Context, TaskiqDepends()]) -> None:
    await _take("replica", context, event)


TASKS = {
    "insert": broker.task(task_name="insert")(_insert),
    "update": broker.task(task_name="update")(_update),
    "replica": broker.task(task_name="replica")(_replicate),
}
TASKS["relay"] = TASKS["insert"]


async def prepare(told: Told) -> None:
    """Leaves tasks waiting, unless they are to be published."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
        await connection.execute(insert(Account), accounts())
    await engine.dispose()
    await broker.startup()
    if told.workload != "relay":
        await publish(told, AT_ONCE)
    await broker.shutdown()
    say(Prepared(QUEUE, where.database_url))


async def publish(told: Told, at_once: int) -> None:
    """All events of a workload, by that many tasks, each waiting for the confirm before its next event."""
    waiting = iter(list(events(told.workload, told.count)))

    async def one_by_one() -> None:
        for event in waiting:
            await TASKS[told.workload].kiq(event)

    await asyncio.gather(*(one_by_one() for _ in range(at_once)))


async def relay(told: Told, at_once: int) -> None:
    """Publishes, and waits to be told to stop."""
    await broker.startup()
    await publish(told, at_once)
    await asyncio.Event().wait()


def work(told: Told) -> None:
    """Publishes, or becomes Taskiq's workers. Options: `default` leaves every setting as it comes."""
    tuned = "default" not in told.options
    if told.workload == "relay":
        uvloop.run(relay(told, AT_ONCE if tuned else 1))
    else:
        if tuned:
            os.environ["BENCH_TASKIQ_QOS"] = PREFETCH
        command = [sys.executable, "-m", "taskiq", "worker", "benchmarks.peers.taskiq_aio_pika:broker"]
        os.execv(sys.executable, command + WORKER if tuned else command)


if __name__ == "__main__":
    asked = Told.by(sys.argv[1:])
    uvloop.run(prepare(asked)) if asked.step == "prepare" else work(asked)
