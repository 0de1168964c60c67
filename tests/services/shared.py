"""One database of each service for all tests of a worker, emptied after each: ten times as fast as a database for each."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from broker import Service
from broker._database import engine_for
from broker.testing.scratch import Databases
from tests.services.kit import Workplace

REMEMBERED = text(
    """
    DO $$
    DECLARE one record; filled boolean;
    BEGIN
        CREATE SCHEMA pristine;
        CREATE TABLE pristine.filled (schemaname name, tablename name);
        FOR one IN SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('public', 'backbone') LOOP
            EXECUTE format('SELECT EXISTS (SELECT FROM %I.%I)', one.schemaname, one.tablename) INTO filled;
            IF filled THEN
                INSERT INTO pristine.filled VALUES (one.schemaname, one.tablename);
                EXECUTE format('CREATE TABLE pristine.%2$I AS TABLE %1$I.%2$I', one.schemaname, one.tablename);
            END IF;
        END LOOP;
    END $$
    """
)
"""Keeps what the migrations put into tables."""

RESTORED = text(
    """
    DO $$
    DECLARE one record;
    BEGIN
        SET LOCAL session_replication_role = replica;  -- no order among tables that refer to each other, and no triggers
        SET LOCAL lock_timeout = '10s';  -- whoever still holds a lock does not let the next test begin
        FOR one IN SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('public', 'backbone') LOOP
            EXECUTE format('DELETE FROM %I.%I', one.schemaname, one.tablename);
        END LOOP;
        FOR one IN SELECT schemaname, tablename FROM pristine.filled LOOP
            EXECUTE format('INSERT INTO %1$I.%2$I OVERRIDING SYSTEM VALUE TABLE pristine.%2$I', one.schemaname, one.tablename);
        END LOOP;
        PERFORM setval(seqrelid, seqstart, false) FROM pg_sequence WHERE pg_sequence_last_value(seqrelid) IS NOT NULL;
    END $$
    """
)
"""Leaves the database as the migrations made it, with every sequence at its start."""


class Workplaces:
    """Services at work, each over a database that looks new: whoever comes next gets the database of whoever has left."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases
        self._idle: dict[str, AsyncEngine] = {}

    @asynccontextmanager
    async def of(self, service: Service) -> AsyncIterator[Workplace]:
        """The service over a database with all its migrations, and nothing else."""
        engine = self._idle.pop(service.name, None) or await self._make(service)
        yield Workplace(service, engine)
        async with engine.begin() as connection:
            await connection.execute(RESTORED)
        self._idle[service.name] = engine

    async def close(self) -> None:
        """Closes every connection."""
        for engine in self._idle.values():
            await engine.dispose()

    async def _make(self, service: Service) -> AsyncEngine:
        engine = engine_for(await self._databases(tables=service.tables, migrations=service.migrations))
        async with engine.begin() as connection:
            await connection.execute(REMEMBERED)
        return engine
