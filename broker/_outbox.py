"""The outbox as the relay sees it: the oldest rows first, and never a growing pile of deleted ones."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import asyncpg

from broker._crash_points import CrashPoint, passing
from broker._envelope import ADDRESSED_TYPES, Envelope

TABLES = ("backbone.outbox_0", "backbone.outbox_1", "backbone.outbox_2")
"""The children of the outbox, by slot."""

FETCH = """
    SELECT position, id, type, key, version, sequence, flow, cause, trace, occurred_at, body
    FROM backbone.outbox
    WHERE position > (
              SELECT CASE WHEN EXISTS (
                  SELECT FROM unnest($5::text[]) slow WHERE pg_visible_in_snapshot(slow::xid8, pg_current_snapshot())
              ) THEN $1::bigint ELSE $6 END
          )
          AND position <> ALL ($2::bigint[]) AND key <> ALL ($3::text[])
    ORDER BY position
    LIMIT $4
"""
DELETE = "DELETE FROM backbone.outbox WHERE position = ANY ($1::bigint[])"
JOURNAL = """
    WITH gone AS (
        DELETE FROM backbone.outbox WHERE position = ANY ($1::bigint[])
        RETURNING id, position, type, key, sequence, flow, cause, occurred_at
    )
    INSERT INTO backbone.published (id, position, type, key, sequence, flow, cause, occurred_at, subscriptions)
    SELECT id, position, type, key, sequence, flow, cause, occurred_at,
           CASE WHEN type = ANY ($3::text[]) THEN ARRAY[key] ELSE ARRAY(SELECT jsonb_array_elements_text($2::jsonb -> type)) END
    FROM gone
    ON CONFLICT (id) DO NOTHING
"""
DRAWN = "SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM backbone.outbox_position"
SNAPSHOT = "SELECT pg_current_snapshot()::text"
SETTLED = """
    SELECT pg_current_snapshot()::text AS snapshot,
           (SELECT min(position) FROM backbone.outbox WHERE position > $1) AS oldest_row
"""

XIDS = 2**32
"""Snapshots write transaction ids with their epoch, locks without it."""
ELSEWHERE = """
    SELECT held.transactionid::text::bigint AS transaction
    FROM pg_locks held JOIN pg_stat_activity holder USING (pid)
    WHERE held.locktype = 'transactionid' AND held.granted AND held.mode = 'ExclusiveLock'
          AND holder.datname <> current_database()
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A row of the outbox."""

    position: int
    envelope: Envelope


def running_in(snapshot: str) -> frozenset[int]:
    """The transactions that run as a snapshot sees it, given as PostgreSQL writes it: oldest:next:running,running."""
    return frozenset(int(transaction) for transaction in snapshot.rpartition(":")[2].split(",") if transaction)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A position that was the last one drawn, the transactions that ran just after that, and when (time.monotonic)."""

    drawn: int
    running: frozenset[int]
    since: float


class Outbox:
    """Reads and clears the outbox of one service over connections that only the relay uses.

    Rows are read from the low-water position on, below which nothing can appear any more. It is exact: a writer has a
    transaction id before it draws a position, so once every transaction that ran when position P was the last one drawn has
    ended, each position up to P is visible or never will be.

    While a transaction goes on and on, reading begins further up, above what all others have left. What it commits below is
    read by the very statement whose snapshot sees it ended.

    Rows go into one of three child tables. When many have passed through one, the next takes over, and the old one is
    truncated once it is empty: deleted rows never pile up, not even under an old snapshot that vacuum must respect.
    """

    def __init__(self, service: str, reader: asyncpg.Connection, writer: asyncpg.Connection, *, rotate_after: int) -> None:
        self._service = service
        self._reader = reader
        self._writer = writer
        self._rotate_after = rotate_after
        self._passed = 0
        self._emptied: set[int] = set()
        self._candidate: Candidate | None = None
        self._has_passed = True
        self._slow: frozenset[int] = frozenset()
        self.low_water = self.reads_above = 0

    patience = 2.0
    """Seconds that a transaction may take before rows are read above what it may still commit."""

    @property
    def is_tidy(self) -> bool:
        """Whether nothing was taken out of it since all was in order: `tidy` would find nothing to do."""
        return not (self._has_passed or self._candidate or self._slow or self._emptied)

    async def load(self) -> None:
        """Takes up where the last relay left."""
        slot, self.low_water = (await self._reader.fetch("SELECT slot, low_water FROM backbone.outbox_state"))[0]
        self.reads_above = self.low_water
        self._emptied = set(range(len(TABLES))) - {slot}

    async def oldest(self, limit: int, *, without: Collection[int] = (), held: Collection[str] = ()) -> list[Waiting]:
        """The oldest rows, in order, but for positions on their way already and keys that are held."""
        slow = [str(transaction) for transaction in self._slow]
        rows = await self._reader.fetch(FETCH, self.low_water, list(without), list(held), limit, slow, self.reads_above)
        return [Waiting(row["position"], self._envelope(row)) for row in rows]

    async def delete(self, positions: Sequence[int]) -> None:
        """Forgets rows that the broker has."""
        await self._writer.execute(DELETE, positions)
        passing(CrashPoint.EVENTS_DELETED)
        self._have_passed(positions)

    async def journal(self, positions: Sequence[int], bound: Mapping[str, Collection[str]]) -> None:
        """Moves rows that the broker has into `published`, with the queues that were bound to their types."""
        subscriptions = {type_: sorted(queues) for type_, queues in bound.items()}
        await self._writer.execute(JOURNAL, positions, subscriptions, list(ADDRESSED_TYPES))
        passing(CrashPoint.EVENTS_DELETED)
        self._have_passed(positions)

    def _have_passed(self, positions: Sequence[int]) -> None:
        self._passed += len(positions)
        self._has_passed = True

    async def tidy(self) -> None:
        """Raises the low-water position and lets the child tables take turns."""
        await self._raise_low_water()
        if self._passed >= self._rotate_after:
            await self._rotate()
        for slot in list(self._emptied):
            if await self._truncate(slot):
                self._emptied.discard(slot)

    async def save(self) -> None:
        """Keeps the low-water position for the next relay."""
        await self._reader.execute("UPDATE backbone.outbox_state SET low_water = $1 WHERE low_water < $1", self.low_water)
        passing(CrashPoint.LOW_WATER_SAVED)

    async def _raise_low_water(self) -> None:
        candidate, self._candidate = self._candidate, None
        if candidate is None:
            self._has_passed = False
            drawn = await self._reader.fetchval(DRAWN)
            self._candidate = Candidate(drawn, running_in(await self._reader.fetchval(SNAPSHOT)), time.monotonic())
            return
        snapshot, oldest = (await self._reader.fetch(SETTLED, self.reads_above))[0]
        running = running_in(snapshot)
        settled = candidate.drawn if oldest is None else min(candidate.drawn, oldest - 1)
        still = candidate.running & running
        is_late = time.monotonic() - candidate.since > self.patience
        if is_late and not still <= self._slow:
            still -= await self._elsewhere(still)
        if self._slow - running:
            self.reads_above, self._slow = self.low_water, frozenset()
        elif not still:
            self.low_water = self.reads_above = max(self.reads_above, settled)
        elif still <= self._slow or is_late:
            self.reads_above, self._slow = max(self.reads_above, settled), self._slow | still
        else:
            self._candidate = candidate

    async def _elsewhere(self, transactions: frozenset[int]) -> frozenset[int]:
        """Those that run in another database of the server, which write nothing here."""
        held = {row["transaction"] for row in await self._reader.fetch(ELSEWHERE)}
        return frozenset(each for each in transactions if each % XIDS in held)

    async def _rotate(self) -> None:
        current = await self._reader.fetchval("SELECT slot FROM backbone.outbox_state")
        following = (current + 1) % len(TABLES)
        if following in self._emptied:
            return
        self._passed = 0
        await self._reader.execute(
            "UPDATE backbone.outbox_state SET slot = $1, low_water = greatest(low_water, $2)", following, self.low_water
        )
        passing(CrashPoint.OUTBOX_ROTATED)
        self._emptied.add(current)

    async def _truncate(self, slot: int) -> bool:
        """Whether it was empty, with no writer in it, and now holds no deleted rows either."""
        table = TABLES[slot]
        try:
            async with self._reader.transaction():
                await self._reader.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE NOWAIT")
                if await self._reader.fetchval(f"SELECT EXISTS (SELECT FROM {table})"):  # noqa: S608 - one of TABLES
                    return False
                await self._reader.execute(f"TRUNCATE {table}")
        except asyncpg.LockNotAvailableError:
            return False
        passing(CrashPoint.OUTBOX_TRUNCATED)
        return True

    def _envelope(self, row: asyncpg.Record) -> Envelope:
        return Envelope(
            id=row["id"],
            type=row["type"],
            source=self._service,
            subject=row["key"],
            version=row["version"],
            sequence=row["sequence"],
            flow=row["flow"],
            cause=row["cause"],
            trace=row["trace"],
            time=row["occurred_at"],
            body=row["body"],
        )
