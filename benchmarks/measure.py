"""One measurement: start a contender in a fresh place and watch, from outside, how fast its work is committed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiormq
import asyncpg

from benchmarks.contenders import ENVIRONMENTS, Contender
from benchmarks.contending import Prepared, Where, Workload
from benchmarks.cost import Cpu, Meter
from benchmarks.place import fresh_place
from broker.servers import Servers

ROOT = Path(__file__).parent.parent
LOGS = ENVIRONMENTS / "logs"
"""What contenders print, by their names."""

WARM = 0.05
"""The part of the events that passes before the clock starts: connections, caches and compilation are not what is compared."""

PATIENCE = 120.0
"""Seconds without any progress after which a contender is given up."""

RESTING = 5.0
"""Seconds after which an idle process has settled."""

LOOK = 0.02
"""Seconds between two looks at what is committed."""

PROGRESS = {
    "insert": "SELECT count(*) FROM entry",
    "update": "SELECT coalesce(sum(entries), 0) FROM account",
    "replica": "SELECT count(*) FROM account_reference",
}


class ContenderFailed(Exception):
    """It ended by itself, made no progress, or its effects are not what they should be."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What one contender did once: events a second, processor seconds for a thousand of them, and MiB while it worked."""

    rate: float
    cpu_per_1000: Cpu
    memory_mib: float


Look = Callable[[], Awaitable[int]]


async def measure(contender: Contender, workload: Workload, count: int, servers: Servers) -> Sample:
    """Has the contender do the work once. Raises ContenderFailed."""
    async with fresh_place(servers) as where:
        prepared = await prepare(contender, workload, count, where)
        async with looking(workload, prepared, where) as look, working(contender, workload, count, where) as process:
            return await watch(process, Meter(servers, process.pid), look, count)


async def resting_memory_mib(contender: Contender, servers: Servers) -> float:
    """What a contender holds that has started and has nothing to do."""
    async with fresh_place(servers) as where, working(contender, "insert", 0, where) as process:
        await asyncio.sleep(RESTING)
        return await asyncio.to_thread(Meter(servers, process.pid).memory_mib)


async def prepare(contender: Contender, workload: Workload, count: int, where: Where) -> Prepared:
    """Has it fill what it will empty."""
    process = await _start(contender, "prepare", workload, count, where)
    said, _ = await process.communicate()
    if process.returncode:
        raise ContenderFailed(f"its preparation ended with {process.returncode}: see {LOGS.name}/{contender.slug}.log")
    return Prepared(**json.loads(said.splitlines()[-1]))


@asynccontextmanager
async def working(
    contender: Contender, workload: Workload, count: int, where: Where
) -> AsyncIterator[asyncio.subprocess.Process]:
    """The contender's process, at work for as long as the block lasts."""
    process = await _start(contender, "work", workload, count, where)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(30):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


@asynccontextmanager
async def looking(workload: Workload, prepared: Prepared, where: Where) -> AsyncIterator[Look]:
    """How many events are done: rows that are committed, or messages that are in the queue."""
    if workload == "relay":
        connection = await aiormq.connect(where.amqp_url)
        channel = await connection.channel()

        async def in_queue() -> int:
            return (await channel.queue_declare(prepared.queue, passive=True)).message_count or 0

        yield in_queue
        await connection.close()
        return
    databases = [await asyncpg.connect(url) for url in (prepared.database_url, *prepared.more_databases)]

    async def committed() -> int:
        return sum([int(await database.fetchval(PROGRESS[workload])) for database in databases])

    yield committed
    for database in databases:
        await database.close()


async def watch(process: asyncio.subprocess.Process, meter: Meter, look: Look, count: int) -> Sample:
    """Times from the first WARM of the events until all are done. Raises ContenderFailed."""
    began: tuple[float, int, Cpu] | None = None
    memory, last, moved = 0.0, 0, time.monotonic()
    while True:
        done, now = await look(), time.monotonic()
        if done > last:
            last, moved = done, now
        if done > count:
            raise ContenderFailed(f"{done} effects of {count} events")
        if process.returncode is not None or now - moved > PATIENCE:
            raise ContenderFailed(f"stands still after {done} of {count} events")
        if began is None and done == count:
            raise ContenderFailed(f"all {count} events were done between two looks: it needs more of them to be timed")
        if began is None and done >= count * WARM:
            began = now, done, meter.cpu()
        if began is not None and not memory and done >= count / 2:
            memory = await asyncio.to_thread(meter.memory_mib)
        if began is not None and done == count:
            at, before, cpu = began
            return Sample(
                rate=(done - before) / (now - at),
                cpu_per_1000=(meter.cpu() - cpu) * (1000 / (done - before)),
                memory_mib=memory or meter.memory_mib(),
            )
        await asyncio.sleep(LOOK)


async def _start(contender: Contender, step: str, workload: Workload, count: int, where: Where) -> asyncio.subprocess.Process:
    LOGS.mkdir(parents=True, exist_ok=True)
    with (LOGS / f"{contender.slug}.log").open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *contender.command(step, workload, count),
            cwd=ROOT,
            env={**os.environ, **where.environment()},
            stdout=asyncio.subprocess.PIPE if step == "prepare" else log,
            stderr=log,
        )
