"""What peers that do not use asyncio have in common: the tables, the effect in a transaction, and threads that publish."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from types import FrameType
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, create_engine, insert
from sqlalchemy.orm import Session, sessionmaker

from benchmarks.contending import Where
from benchmarks.effects import Account, Base, accounts, event_class, exactly_once_blocking


def engine_for(where: Where) -> Engine:
    """psycopg 3, with a connection for each thread that works."""
    return create_engine(where.database_url.replace("://", "+psycopg://", 1), pool_size=64)


def make_tables(where: Where) -> None:
    """The tables of effects, and the accounts."""
    engine = engine_for(where)
    with engine.begin() as connection:
        Base.metadata.create_all(connection)
        connection.execute(insert(Account), accounts())
    engine.dispose()


@cache
def sessions() -> sessionmaker[Session]:
    """Of this process; a worker calls it first after its fork."""
    return sessionmaker(engine_for(Where.from_environment()), expire_on_commit=False)


def take(workload: str, id_: str, body: dict[str, Any]) -> None:
    """The effect of a message, once, committed."""
    event = event_class(workload).model_validate(body)
    with sessions().begin() as session:
        exactly_once_blocking(session, workload, UUID(id_), event)


def publish_all(publish: Callable[[Any], object], made: Iterable[Any], threads: int) -> None:
    """As a server with that many threads publishes, each waiting for the broker before its next event."""
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(publish, made):
            pass


def together(commands: Iterable[Sequence[str]]) -> None:
    """Processes that end when this one is told to."""
    processes = [subprocess.Popen(command) for command in commands]

    def end(_signal: int, _frame: FrameType | None) -> None:
        for process in processes:
            process.terminate()

    signal.signal(signal.SIGTERM, end)
    for process in processes:
        process.wait()
