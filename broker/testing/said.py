"""What services said, word for word: each test database keeps a copy of every row that comes into its outbox.

The relay forgets a row as soon as the broker has it. The copy is made by a trigger, in the transaction that publishes, so that
whoever sees an event in the journal finds its body here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from uuid import UUID

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from broker._envelope import Envelope

KEEP = """
    CREATE SCHEMA IF NOT EXISTS testing;
    CREATE TABLE IF NOT EXISTS testing.said AS TABLE backbone.outbox WITH NO DATA;
    CREATE INDEX IF NOT EXISTS said_id_idx ON testing.said (id);
    CREATE OR REPLACE FUNCTION testing.keep() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
        INSERT INTO testing.said SELECT NEW.*;
        RETURN NULL;
    END $$;
    CREATE OR REPLACE TRIGGER keep_what_is_said AFTER INSERT ON backbone.outbox FOR EACH ROW EXECUTE FUNCTION testing.keep();
"""
READ = text(
    """
    SELECT id, type, key, version, sequence, flow, cause, trace, occurred_at, body
    FROM testing.said WHERE id = ANY (CAST(:ids AS uuid[]))
    """
)


HOW_MUCH = text("SELECT flow, count(*) AS events FROM testing.said WHERE flow = ANY (CAST(:flows AS uuid[])) GROUP BY flow")


async def keep(database_url: str) -> None:
    """Has a database keep what is said. `database_url` is a superuser's. Raises asyncpg.PostgresError."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(KEEP)
    finally:
        await connection.close()


async def envelopes(service: str, engine: AsyncEngine, ids: Collection[UUID]) -> dict[UUID, Envelope]:
    """These messages of a service, as it sent them."""
    async with engine.connect() as connection:
        rows = await connection.execute(READ, {"ids": list(ids)})
        return {
            row.id: Envelope(
                id=row.id,
                type=row.type,
                source=service,
                subject=row.key,
                version=row.version,
                sequence=row.sequence,
                flow=row.flow,
                cause=row.cause,
                trace=row.trace,
                time=row.occurred_at,
                body=row.body,
            )
            for row in rows
        }


async def how_much(engine: AsyncEngine, flows: Collection[UUID]) -> Counter[UUID]:
    """How many events of these flows a service has said."""
    async with engine.connect() as connection:
        rows = await connection.execute(HOW_MUCH, {"flows": list(flows)})
        return Counter({row.flow: row.events for row in rows})
