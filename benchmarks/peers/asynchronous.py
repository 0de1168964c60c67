"""What peers that use asyncio have in common: the engine, the tables, the effect in a transaction, and several processes."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from uuid import UUID

from sqlalchemy import MetaData, insert
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from benchmarks.contending import Where
from benchmarks.effects import Account, AccountState, Base, Posting, accounts, exactly_once

ALONE = "alone"
"""The option of a process that is one of several."""


def engine_for(where: Where, connections: int = 20) -> AsyncEngine:
    """asyncpg, with that many connections kept open."""
    return create_async_engine(where.database_url.replace("://", "+asyncpg://", 1), pool_size=connections)


async def make_tables(engine: AsyncEngine, *more: MetaData) -> None:
    """The tables of effects and a peer's own, and the accounts."""
    async with engine.begin() as connection:
        for metadata in (Base.metadata, *more):
            await connection.run_sync(metadata.create_all)
        await connection.execute(insert(Account), accounts())


async def take(sessions: async_sessionmaker[AsyncSession], workload: str, id_: UUID, event: Posting | AccountState) -> None:
    """The effect of a message, once, committed."""
    async with sessions() as session:
        await exactly_once(session, workload, id_, event)
        await session.commit()


async def in_processes(module: str, number: int) -> None:
    """This process's command line, in that many processes with the option ALONE, until this one is told to end."""
    command = (sys.executable, "-m", module, *sys.argv[1:], ALONE)
    children = [await asyncio.create_subprocess_exec(*command) for _ in range(number)]
    try:
        await asyncio.gather(*(child.wait() for child in children))
    finally:
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                child.terminate()
        await asyncio.gather(*(child.wait() for child in children))
