"""A service's database: engine, sessions that publish, and migrations."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from sqlalchemy import Executable, MetaData, text
from sqlalchemy import event as sa_event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from broker._crash_points import CrashPoint, passing
from broker._publishing import BUFFER, ON_COMMIT, PUBLISHER, PublishingSession
from broker._tables import BACKBONE_MIGRATIONS
from broker.errors import SessionIsGuarded


def engine_for(database_url: str, *, pool_size: int = 10) -> AsyncEngine:
    """An engine on asyncpg for a postgresql:// address. Opens nothing until it is used.

    It has at most twice `pool_size` connections and keeps them: opening one costs ten times a command.
    """
    address = database_url.replace("postgresql://", "postgresql+asyncpg://", 1)
    engine = create_async_engine(address, pool_size=2 * pool_size, max_overflow=0, pool_use_lifo=True)
    sa_event.listen(engine.sync_engine, "checkout", _refuse_closed)
    return engine


def _refuse_closed(connection: Any, *_: Any) -> None:
    """Has the pool open another connection in place of one that the server has closed. Costs no round trip, as a ping would."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError


CHECK = text("SET CONSTRAINTS ALL IMMEDIATE")
"""Checks the constraints that are deferred. A broken transaction refuses it."""


class LentSession(AsyncSession):
    """The session a handler works in. The transaction belongs to the backbone: savepoints yes, commit no."""

    def _refuse(self, verb: str) -> NoReturn:
        raise SessionIsGuarded(f"a handler cannot {verb} the session it was lent: raise to undo, return to commit")

    async def commit(self) -> None:
        self._refuse("commit")

    async def rollback(self) -> None:
        self._refuse("roll back")

    async def close(self) -> None:
        self._refuse("close")

    async def reset(self) -> None:
        self._refuse("reset")

    async def invalidate(self) -> None:
        self._refuse("invalidate")

    async def prove(self) -> None:
        """Writes what is pending, and refuses a transaction that a handler broke and hid: COMMIT would quietly roll it back.

        A broken transaction refuses any statement, so that one for its own sake is sent only where none is to come anyway.
        """
        is_written = bool(self.new) or BUFFER in self.info
        await self.flush()
        if not is_written:
            await self.execute(CHECK)

    async def settle(self, committed: CrashPoint = CrashPoint.COMMAND_COMMITTED) -> None:
        """Commits: for the backbone alone. committed: the point that the process passes then."""
        await super().commit()
        passing(committed)

    async def undo(self) -> None:
        """Rolls back: for the backbone alone."""
        await super().rollback()

    async def give_back(self) -> None:
        """Closes: for the backbone alone."""
        await super().close()


class Database:
    """The database of one service in one process."""

    def __init__(self, engine: AsyncEngine, publisher: str | None, on_publish: Callable[[], Any] | None = None) -> None:
        self.engine = engine
        self.publisher = publisher
        self.on_publish = on_publish
        self._alone = engine.execution_options(isolation_level="AUTOCOMMIT")

    @contextlib.asynccontextmanager
    async def transaction(self, committed: CrashPoint = CrashPoint.COMMAND_COMMITTED) -> AsyncIterator[AsyncSession]:
        """A session whose transaction commits at the end of the block, with what was published in it.

        committed: the point that the process passes then.
        """
        async with AsyncSession(self.engine, **self._options()) as session, session.begin():
            yield session
        passing(committed)

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """A session of which nothing is committed."""
        async with AsyncSession(self.engine, **self._options()) as session:
            yield session

    @contextlib.asynccontextmanager
    async def lent(self) -> AsyncIterator[LentSession]:
        """A session for handlers. Nothing is committed unless the backbone settles it inside the block."""
        session = LentSession(self.engine, **self._options())
        try:
            yield session
        finally:
            await session.give_back()

    def _options(self) -> dict[str, Any]:
        info = {PUBLISHER: self.publisher, ON_COMMIT: self.on_publish}
        return {"expire_on_commit": False, "sync_session_class": PublishingSession, "info": info}

    async def glance(self, statement: Executable, parameters: Mapping[str, object] | None = None) -> Sequence[Any]:
        """The values that one statement finds, in its first column; without a transaction, which would cost thrice as much.

        For loops that look for work several times a second and mostly find none.
        """
        async with self._alone.connect() as connection:
            return (await connection.scalars(statement, parameters)).all()

    async def close(self) -> None:
        """Closes every connection."""
        await self.engine.dispose()


async def migrate(engine: AsyncEngine, tables: MetaData, migrations: Path | None) -> None:
    """Brings a database up to date: the backbone's tables, then the service's own from its `migrations` folder."""
    from broker._migrations import upgrade

    async with engine.begin() as connection:
        await connection.run_sync(upgrade, BACKBONE_MIGRATIONS, None)
        if migrations is not None:
            await connection.run_sync(upgrade, migrations, tables)


async def is_migrated(engine: AsyncEngine, migrations: Path | None) -> bool:
    """Whether the database has every migration this code knows. Newer ones do not hurt."""
    from broker._migrations import has_all

    async with engine.connect() as connection:
        folders = [BACKBONE_MIGRATIONS, *([migrations] if migrations is not None else [])]
        return all([await connection.run_sync(has_all, folder) for folder in folders])
