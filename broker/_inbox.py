"""The inbox: which messages have taken effect, kept in partitions of one day and forgotten in time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from broker._crash_points import CrashPoint, passing
from broker._database import Database
from broker._envelope import Envelope
from broker._evidence import sqlstate
from broker._loop import Loop
from broker._publishing import lock_number

log = structlog.get_logger("nilecare.backbone")

LOCK_NOT_AVAILABLE = "55P03"

SOON = 30.0
"""Seconds until what a busy table refused is tried again."""

AHEAD = timedelta(days=3)
"""How far ahead of time partitions are made; a message that fits none goes to the default partition."""

# Keys are locked in their order, as by everybody who touches them. The subquery on the inbox stays correlated on purpose: it is
# looked up by its key, and only for the few that are held. Arrays stand in subqueries so that one plan serves for all, as in
# `_publishing.INSERT`.
TAKE = text(
    """
    WITH locked AS MATERIALIZED (
             SELECT key FROM backbone.held_key held
             WHERE CAST(:hold AS boolean) AND subscription = :subscription
                   AND key IN (SELECT unnest((SELECT CAST(:keys AS text[]))))
                   AND EXISTS (SELECT FROM backbone.failed_message WHERE subscription = held.subscription AND key = held.key)
             ORDER BY key FOR UPDATE
         ),
         arrived AS (
             SELECT message.*, key IN (SELECT key FROM locked) AS held
             FROM unnest(
                 (SELECT CAST(:ids AS uuid[])), (SELECT CAST(:keys AS text[])), (SELECT CAST(:flows AS uuid[]))
             ) WITH ORDINALITY AS message (id, key, flow, place)
         ),
         fresh AS (
             SELECT * FROM arrived
             WHERE NOT EXISTS (
                 SELECT FROM backbone.failed_message failed WHERE failed.subscription = :subscription AND failed.id = arrived.id
             )
         ),
         taken AS (
             INSERT INTO backbone.inbox (id, subscription, key, flow)
             SELECT id, :subscription, key, flow FROM fresh WHERE NOT held ORDER BY place
             ON CONFLICT DO NOTHING RETURNING id
         )
    SELECT id, false AS held FROM taken
    UNION ALL
    SELECT id, true FROM fresh
    WHERE held AND (
        SELECT count(*) FROM backbone.inbox seen WHERE seen.id = fresh.id AND seen.subscription = :subscription
    ) = 0
    """
)

PARTITIONS = text(
    """
    SELECT child.relname FROM pg_inherits
    JOIN pg_class child ON child.oid = inhrelid
    WHERE inhparent = 'backbone.inbox'::regclass AND child.relname ~ '^inbox_[0-9]{8}$' ORDER BY child.relname
    """
)


@dataclass(frozen=True, slots=True)
class Taken:
    """The ids of messages that are new: those to be handled, and those that belong behind a failed message of their key."""

    free: frozenset[UUID]
    held: frozenset[UUID]


async def take(session: AsyncSession, subscription: str, envelopes: Sequence[Envelope], *, hold: bool) -> Taken:
    """Which of the messages are new, looking at inbox and failed messages. In the caller's transaction.

    Those that are free are written into the inbox, in their order. With `hold`, keys that open failed messages hold are locked;
    without it none is held.
    """
    rows = await session.execute(
        TAKE,
        {
            "subscription": subscription,
            "ids": [envelope.id for envelope in envelopes],
            "keys": [envelope.subject for envelope in envelopes],
            "flows": [envelope.flow for envelope in envelopes],
            "hold": hold,
        },
    )
    held_by_id = {row.id: row.held for row in rows}
    held = frozenset(id_ for id_, is_held in held_by_id.items() if is_held)
    return Taken(frozenset(held_by_id) - held, held)


class InboxKeeper(Loop):
    """Makes the inbox's partitions ahead of time, and drops those that can never be asked for again.

    A partition goes when each of the service's subscriptions that has rows in it has handled something `retention` later
    than all of them: measured on what was handled, because after a long stop the wall clock alone would forget messages
    that the broker is about to deliver once more.
    """

    def __init__(
        self, database: Database, subscriptions: Iterable[str], *, retention: timedelta, interval: float = 3600
    ) -> None:
        super().__init__("inbox keeper", interval=interval)
        self._database = database
        self._subscriptions = sorted(subscriptions)
        self._retention, self._interval = retention, interval

    async def run_once(self) -> bool:
        """Makes what is missing and drops what is over; False, since nothing is left to do until tomorrow.

        What a busy table refuses is done in the next round, which then comes soon.
        """
        today = datetime.now(UTC).date()
        try:
            for day in range(-1, AHEAD.days + 1):
                await self._make(today + timedelta(days=day))
            for name in await self._old(today):
                await self._drop(name)
        except DBAPIError as failure:
            if sqlstate(failure) != LOCK_NOT_AVAILABLE:
                raise
            log.info("inbox.busy", again_in=SOON)
            self.interval = SOON
        else:
            self.interval = self._interval
        return False

    async def _make(self, day: date) -> None:
        name, first, after = partition_name(day), first_id(day), first_id(day + timedelta(days=1))
        async with self._database.engine.begin() as connection:
            await self._alone(connection)
            if (await connection.execute(text("SELECT to_regclass(:name)"), {"name": f"backbone.{name}"})).scalar():
                return
            await connection.execute(text("LOCK TABLE backbone.inbox_default IN ACCESS EXCLUSIVE MODE"))
            await connection.execute(
                text(f"CREATE TABLE backbone.{name} (LIKE backbone.inbox INCLUDING DEFAULTS INCLUDING INDEXES)")
            )
            await connection.execute(
                text(
                    f"WITH moved AS (DELETE FROM backbone.inbox_default WHERE id >= :first AND id < :after RETURNING *) "  # noqa: S608
                    f"INSERT INTO backbone.{name} SELECT * FROM moved"
                ),
                {"first": first, "after": after},
            )
            await connection.execute(
                text(f"ALTER TABLE backbone.inbox ATTACH PARTITION backbone.{name} FOR VALUES FROM ('{first}') TO ('{after}')")
            )
        passing(CrashPoint.HOUSEKEEPING_DONE)

    async def _old(self, today: date) -> list[str]:
        async with self._database.engine.connect() as connection:
            names = (await connection.execute(PARTITIONS)).scalars()
            return [name for name in names if name < partition_name(today - self._retention)]

    async def _drop(self, name: str) -> None:
        async with self._database.engine.begin() as connection:
            await self._alone(connection)
            last = await connection.execute(
                text(f"SELECT subscription, max(handled_at) FROM backbone.{name} GROUP BY subscription")  # noqa: S608
            )
            for subscription, handled_at in last:
                if subscription in self._subscriptions and not await self._went_on(connection, subscription, handled_at):
                    return
            await connection.execute(text(f"DROP TABLE IF EXISTS backbone.{name}"))
        passing(CrashPoint.HOUSEKEEPING_DONE)

    async def _went_on(self, connection: AsyncConnection, subscription: str, handled_at: datetime) -> bool:
        later = await connection.execute(
            text("SELECT EXISTS (SELECT FROM backbone.inbox WHERE subscription = :subscription AND handled_at > :later)"),
            {"subscription": subscription, "later": handled_at + self._retention},
        )
        return bool(later.scalar())

    async def _alone(self, connection: AsyncConnection) -> None:
        """One copy of the service at a time, and no long wait, behind which all others would stand."""
        await connection.execute(text("SET LOCAL lock_timeout = '2s'"))
        await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": lock_number("inbox keeper")})


def partition_name(day: date) -> str:
    """The partition of the messages that were made on `day` (UTC)."""
    return f"inbox_{day:%Y%m%d}"


def first_id(day: date) -> UUID:
    """The smallest UUIDv7 of `day` (UTC), without its version: a bound between two days."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return UUID(int=int(start.timestamp() * 1000) << 80)
