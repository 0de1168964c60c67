"""What a hundred thousand dead letters cost: to look at them, and to replay them beside publishing as many messages again."""

from __future__ import annotations

import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from benchmarks.contenders import BACKBONE
from benchmarks.contending import Prepared, Where
from benchmarks.cost import Meter
from benchmarks.measure import ContenderFailed, Sample, looking, measure, prepare, watch, working
from benchmarks.place import fresh_place
from broker._actions import Asker, begin, look
from broker._database import Database, engine_for
from broker._dead_letters import Filter, find, groups
from broker._keeping import Housekeeping
from broker.servers import Servers
from tests.broker.failing import SETTINGS
from tests.waiting import until

FEW = 1000
"""Dead letters that looking is compared with."""

PAGE = 50
"""Messages of a page, as the list has them when it is not told otherwise."""

TIMES = 11
"""How often each look is taken; its figure is the median."""

PATIENCE = 30.0
"""Seconds for the first message to become a dead letter, and for a replay to be closed after its last message."""

DEAD = Filter(states=("dead",))

RARE = 100
"""Of so many dead letters one is of the last cause; of the others the first half is of the first, the second of the second."""

CAUSES = {
    "price_of": "the price list is empty",
    "account_of": "the account is closed",
    "month_of": "the ledger of that month is missing",
}
"""What the dead letters failed for: where it was raised, and the sentence."""

COPY = """
    INSERT INTO backbone.failed_message (
        subscription, id, state, type, version, key, sequence, flow, exchange, routing_key, properties, body, error, reason,
        attempts, first_failed_at, last_failed_at, stack, fingerprint
    )
    SELECT subscription, new_id, state, type, version, new_key, sequence, flow, exchange, routing_key,
           replace(replace(properties::text, id::text, new_id::text), key, new_key)::jsonb,
           convert_to(replace(replace(said, said::jsonb ->> 'entry_id', gen_random_uuid()::text), key, new_key), 'UTF8'),
           error, ($3::text[])[place] || ' (entry_id=' || new_id || ', year=' || 2025 + place || ')', attempts,
           first_failed_at, last_failed_at, stack, error || ' in benchmarks.ours.refusing.' || ($2::text[])[place]
    FROM (SELECT *, convert_from(body, 'UTF8') AS said FROM backbone.failed_message ORDER BY position LIMIT 1) one
    CROSS JOIN LATERAL (
        SELECT gen_random_uuid()::text AS new_key,
               CASE WHEN number % $4::int = 0 THEN 3 WHEN number * 2 <= $1::int THEN 1 ELSE 2 END AS place,
               (left(at, 8) || '-' || right(at, 4) || '-7' || substr(gen_random_uuid()::text, 16))::uuid AS new_id
        FROM generate_series(1, $1::int) number, lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint), 12, '0') at
    ) made
"""
"""Makes dead letters of a real one, each a message of its own: id, key and effect."""

HOLD = "INSERT INTO backbone.held_key SELECT subscription, key FROM backbone.failed_message ON CONFLICT DO NOTHING"


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """What was found.

    looks: milliseconds of each kind of look with FEW dead letters and with `count`. replay: effects of a replay of all.
    published_again: effects of as many messages that lie in the queue, in the same handler.
    """

    count: int
    looks: Mapping[str, tuple[float, float]]
    replay: Sample
    published_again: Sample


async def measure_dead_letters(count: int, servers: Servers) -> DeadLetters:
    """Once. Raises ContenderFailed, also when a replay of what is cured does not end with all of it."""
    published_again = await measure(BACKBONE, "insert", count, servers)
    async with fresh_place(servers) as where:
        prepared = await _with_one(where)
        async with _reading(prepared) as (connection, database):
            await _fill(connection, database, FEW)
            few = await _looks(database, FEW)
            await _fill(connection, database, count)
            many = await _looks(database, count)
            replay = await _replay(database, prepared, count, where, servers)
    return DeadLetters(count, {name: (few[name], many[name]) for name in few}, replay, published_again)


async def _with_one(where: Where) -> Prepared:
    """A place in which a message has really failed."""
    refusing = BACKBONE.with_options("poison")
    prepared = await prepare(refusing, "insert", 1, where)
    async with _reading(prepared) as (connection, _), working(refusing, "insert", 1, where):

        async def has_failed() -> bool:
            return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM backbone.failed_message)"))

        await _until(has_failed, "the first message did not become a dead letter")
    return prepared


@asynccontextmanager
async def _reading(prepared: Prepared) -> AsyncIterator[tuple[asyncpg.Connection, Database]]:
    connection, database = await asyncpg.connect(prepared.database_url), Database(engine_for(prepared.database_url), "reader")
    try:
        yield connection, database
    finally:
        await database.close()
        await connection.close()


async def _fill(connection: asyncpg.Connection, database: Database, count: int) -> None:
    """Has so many dead letters instead of those that are there, as they are when Housekeeping has been by."""
    last = await connection.fetchval("SELECT max(position) FROM backbone.failed_message")
    await connection.execute(COPY, count, list(CAUSES), list(CAUSES.values()), RARE, timeout=600)
    await connection.execute("DELETE FROM backbone.failed_message WHERE position <= $1", last)
    await connection.execute(HOLD, timeout=600)
    await Housekeeping(database, "reader", SETTINGS, lambda: None).run_once()
    for tables in ("failed_message, backbone.held_key", "failure_count, backbone.wording_count, backbone.word_summary"):
        await connection.execute(f"VACUUM ANALYZE backbone.{tables}", timeout=600)


async def _looks(database: Database, count: int) -> dict[str, float]:
    """Milliseconds of each kind of look."""
    async with database.transaction() as session:
        (first,) = await find(session, DEAD, limit=1)
    middle = first.position + count // 2

    async def a_page(session: AsyncSession) -> int:
        return len(await find(session, DEAD, limit=PAGE))

    async def a_page_in_the_middle(session: AsyncSession) -> int:
        return len(await find(session, DEAD, limit=PAGE, after=middle))

    async def all_groups(session: AsyncSession) -> int:
        return len(await groups(session, Filter()))

    async def groups_of_words(session: AsyncSession) -> int:
        return len(await groups(session, Filter(text="account closed")))

    def a_search(words: str) -> Callable[[AsyncSession], Awaitable[int]]:
        async def a_page_of_words(session: AsyncSession) -> int:
            return len(await find(session, Filter(text=words), limit=PAGE))

        return a_page_of_words

    looks: dict[str, tuple[Callable[[AsyncSession], Awaitable[int]], int]] = {
        "the first page": (a_page, PAGE),
        "a page in the middle": (a_page_in_the_middle, PAGE),
        "the groups": (all_groups, len(CAUSES)),
        "two words: the first half have them": (a_search("price list"), PAGE),
        "two words: the second half have them": (a_search("account closed"), PAGE),
        f"two words: one in {RARE} has them": (a_search("ledger missing"), min(PAGE, count // RARE)),
        "two words: half have one, half the other": (a_search("price closed"), 0),
        "two words: none has them": (a_search("patient discharged"), 0),
        "a value: the second half have it": (a_search("2027"), PAGE),
        f"a value: one in {RARE} has it": (a_search("2028"), min(PAGE, count // RARE)),
        "the groups of two words that half have": (groups_of_words, 1),
    }
    return {name: await _milliseconds(name, database, *one) for name, one in looks.items()}


async def _milliseconds(name: str, database: Database, look_: Callable[[AsyncSession], Awaitable[int]], expected: int) -> float:
    taken = []
    for _ in range(TIMES):
        async with database.transaction() as session:
            began = time.perf_counter()
            found = await look_(session)
            taken.append((time.perf_counter() - began) * 1000)
        if found != expected:
            raise ContenderFailed(f"{name}: {found} found, not {expected}")
    return statistics.median(taken)


async def _replay(database: Database, prepared: Prepared, count: int, where: Where, servers: Servers) -> Sample:
    async with database.transaction() as session:
        begun = await begin(session, "replay", DEAD, Asker("the benchmark"))

    async def is_done() -> bool:
        async with database.transaction() as session:
            replay = await look(session, begun.id)
        return replay is not None and (replay.state, dict(replay.outcomes)) == ("done", {"took effect": count})

    async with looking("insert", prepared, where) as done, working(BACKBONE, "insert", count, where) as process:
        sample = await watch(process, Meter(servers, process.pid), done, count)
        await _until(is_done, "the replay did not end with all messages")
    return sample


async def _until(condition: Callable[[], Awaitable[bool]], failure: str) -> None:
    try:
        await until(condition, within=PATIENCE)
    except AssertionError:
        raise ContenderFailed(failure) from None
