"""Whose fault an exception is: the message's, nobody's, or the database's, which is out of reach."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from enum import Enum

import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine

from broker.errors import Overtaken

# Source of the codes: PostgreSQL, appendix A.
NOBODY = frozenset(
    {
        "40001",  # serialization_failure
        "40P01",  # deadlock_detected
        "55P03",  # lock_not_available
        "57014",  # query_canceled: statement_timeout
        "25P03",  # idle_in_transaction_session_timeout
    }
)
UNAVAILABLE = (
    "08",  # connection exceptions
    "57P",  # operator intervention: shutting down, starting up
    "58",  # system errors
    "53100",  # disk_full
    "53300",  # too_many_connections
    "25006",  # read_only_sql_transaction: failing over
)
PROBE = 5.0
"""Seconds that a database may take to answer before it counts as out of reach."""


class Blame(Enum):
    """Whose fault a failure is."""

    MESSAGE = "message"
    NOBODY = "nobody"
    DATABASE = "database"


class NotTheMessage(Exception):
    """What stands in for `failure`, which no message can be blamed for."""

    def __init__(self, failure: Exception) -> None:
        super().__init__(type(failure).__name__)
        self.failure = failure


class Nobody(NotTheMessage):
    """Deadlock, serialization, time-out or a lost connection: the same work may succeed when it is done again."""


class DatabaseOutOfReach(NotTheMessage):
    """The database does not answer, or takes no writes: nothing can be done until it does."""


async def blame_for(failure: BaseException, engine: AsyncEngine) -> Blame:
    """Judges `failure`. A lost connection is the database's fault only while a new one cannot be had either."""
    if isinstance(failure, Nobody | PoolTimeout | Overtaken):
        return Blame.NOBODY
    if isinstance(failure, DatabaseOutOfReach):
        return Blame.DATABASE
    codes = [code for code in map(_code, _causes(failure)) if code]
    if any(code in NOBODY for code in codes):
        return Blame.NOBODY
    lost = any(code.startswith(UNAVAILABLE) for code in codes) or any(map(_is_lost_connection, _causes(failure)))
    if not lost:
        return Blame.MESSAGE
    return Blame.NOBODY if await is_reachable(engine) else Blame.DATABASE


async def is_reachable(engine: AsyncEngine) -> bool:
    """Whether the database answers on a new connection and takes writes."""
    try:
        async with asyncio.timeout(PROBE), engine.connect() as connection:
            return (await connection.execute(text("SHOW transaction_read_only"))).scalar() == "off"
    except Exception:
        return False


def _causes(failure: BaseException | None) -> Iterator[BaseException]:
    while failure is not None:
        yield failure
        failure = failure.__cause__ or (failure.orig if isinstance(failure, DBAPIError) else None)


def _code(failure: BaseException) -> str | None:
    code = getattr(failure, "sqlstate", None)
    return code if isinstance(code, str) else None


def _is_lost_connection(failure: BaseException) -> bool:
    if isinstance(failure, DBAPIError) and failure.connection_invalidated:
        return True
    return isinstance(failure, OSError | asyncpg.InterfaceError | asyncpg.PostgresConnectionError)
