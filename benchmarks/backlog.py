"""Whether an event costs more when many wait, an old transaction is open, the inbox is full, or some are poison."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

import asyncpg

from benchmarks.contenders import BACKBONE
from benchmarks.contending import Where
from benchmarks.cost import Meter
from benchmarks.measure import ContenderFailed, Look, Sample, looking, prepare, watch, working
from benchmarks.place import fresh_place
from broker.servers import Servers
from tests.waiting import until

SEED = 10_000
"""Events that are really published; a larger backlog is made of copies of them, each with an id and a position of its own."""

COPY = """
    INSERT INTO backbone.outbox (slot, position, id, type, key, version, sequence, flow, cause, trace, occurred_at, body)
    SELECT slot, position, gen_random_uuid(), type, key, version, position, flow, cause, trace, occurred_at, body
    FROM (
        SELECT slot, nextval('backbone.outbox_position') AS position, type, key, version, flow, cause, trace, occurred_at, body
        FROM backbone.outbox, generate_series(1, $1) LIMIT $2
    ) copied
"""
REMEMBER = """
    INSERT INTO backbone.inbox (id, subscription, key, flow)
    SELECT (left(at, 8) || '-' || right(at, 4) || '-7' || substr(gen_random_uuid()::text, 16))::uuid, 'enter', 'key', id
    FROM generate_series($1::bigint, $2) number, gen_random_uuid() id,
         lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint - number), 12, '0') at
"""

Held = Literal["nothing", "a reader", "a writer"]


@dataclass(frozen=True, slots=True)
class Case:
    """`waiting` events, under an old transaction of `held`, with `remembered` rows in the inbox, and perhaps with poison."""

    workload: Literal["relay", "insert"]
    waiting: int
    held: Held = "nothing"
    remembered: int = 0
    poison: bool = False

    @property
    def name(self) -> str:
        """For people."""
        parts = [f"{self.waiting:,} waiting"]
        parts += [f"old transaction of {self.held}"] if self.held != "nothing" else []
        parts += [f"{self.remembered:,} in the inbox"] if self.remembered else []
        parts += ["1 % poison"] if self.poison else []
        return f"{self.workload}: {', '.join(parts)}"


def cases(largest: int) -> list[Case]:
    """All, the plain ones first; `largest` events wait at most."""
    sizes = [size for size in (10_000, 100_000, 1_000_000) if size <= largest]
    old: tuple[Held, ...] = ("a reader", "a writer")
    return [
        *(Case("relay", size) for size in sizes),
        *(Case("relay", size, held) for held in old for size in (sizes[0], sizes[-1])),
        Case("insert", 50_000),
        Case("insert", 50_000, remembered=10 * largest),
        Case("insert", 50_000, poison=True),
    ]


async def measure_case(case: Case, servers: Servers) -> Sample:
    """Once. Raises ContenderFailed, also when what an old transaction committed at last does not come."""
    async with fresh_place(servers) as where:
        contender = BACKBONE.with_options("poison") if case.poison else BACKBONE
        published = min(case.waiting, SEED) if case.workload == "relay" else case.waiting
        prepared = await prepare(contender, case.workload, published, where)
        async with _old_transaction(case.held, where) as commit:
            await _fill(case, where)
            count = case.waiting - case.waiting // 100 if case.poison else case.waiting
            async with (
                looking(case.workload, prepared, where) as look,
                working(contender, case.workload, count, where) as process,
            ):
                sample = await watch(process, Meter(servers, process.pid), look, count)
                if case.held != "nothing":
                    await commit()
                if case.held == "a writer":
                    await _arrives(look, count + 1)
        return sample


async def _arrives(look: Look, count: int) -> None:
    async def all_there() -> bool:
        return await look() >= count

    try:
        await until(all_there, within=30)
    except AssertionError:
        raise ContenderFailed("the event of an old transaction did not come after its commit") from None


async def _fill(case: Case, where: Where) -> None:
    if case.workload == "relay" and case.waiting > SEED:
        connection = await _connect(where, "ledger")
        await connection.execute(COPY, case.waiting // SEED, case.waiting - SEED, timeout=600)
        await connection.close()
    if case.remembered:
        connection = await _connect(where, "reader")
        step = case.remembered // 10
        for begin in range(0, case.remembered, step):
            await connection.execute(REMEMBER, begin + 1, begin + step, timeout=600)
        await connection.execute("VACUUM ANALYZE backbone.inbox", timeout=600)
        await connection.close()


@asynccontextmanager
async def _old_transaction(held: Held, where: Where) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """A transaction that is older than most of the backlog; gives what commits it. A writer's has published an event."""
    connection = await _connect(where, "ledger")

    async def commit() -> None:
        await connection.execute("COMMIT")

    if held != "nothing":
        await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        await connection.fetchval("SELECT position FROM backbone.outbox LIMIT 1")
    if held == "a writer":
        await connection.execute(COPY, 1, 1)
    yield commit
    await connection.close()


async def _connect(where: Where, service: str) -> asyncpg.Connection:
    return await asyncpg.connect(where.postgres_url.rpartition("/")[0] + f"/{where.name}_{service}")
