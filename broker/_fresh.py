"""How old a replica may be where it is read, and what happens when it is older.

    class UserReference(Replica[UserChanged], Base):
        fresh = Fresh(at_most=timedelta(minutes=1), otherwise="refuse")

A replica that declares nothing is read as it is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, cast

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from broker._copied import owner_of
from broker._failed_row import clean
from broker.errors import DeclarationError, StaleReplica

if TYPE_CHECKING:
    from broker._replicas import Replica

Sessions = Callable[[], AbstractAsyncContextManager[AsyncSession]]

STALE = "backbone.stale"
"""Set in `session.info`: the replicas that were read although they are too old, and how old they are."""

SHORTEST = timedelta(seconds=1)
"""An owner is asked at a third of the age: more often than that is no use to anybody."""

AGE = text(
    """
    SELECT clock_timestamp() - as_of FROM backbone.replica_mark
    WHERE replica = :replica AND NOT EXISTS (
        SELECT FROM backbone.failed_message WHERE subscription = :replica AND key = CAST(:key AS text)
    )
    """
)


@dataclass(frozen=True, slots=True)
class Fresh:
    """At most how old a replica may be, and what who reads it gets otherwise.

    serve: the row all the same; an HTTP answer says so in X-Stale. wait: the row, once the replica is fresh enough; a request
    waits outside of its transaction, and is refused (503) if that takes too long. refuse: a request is refused at once. A
    message, which nobody can refuse, is tried again later in both cases.

    At its age, a replica has all that its owner had committed, whether that was anything or nothing: the owner is asked at a
    third of `at_most`. While the owner is down, its replicas grow older. Raises DeclarationError.
    """

    at_most: timedelta
    otherwise: Literal["serve", "wait", "refuse"] = "serve"

    def __post_init__(self) -> None:
        if self.at_most < SHORTEST:
            raise DeclarationError(f"a replica cannot be kept younger than {SHORTEST}: {self.at_most}")

    async def check(
        self, session: AsyncSession, replica: type[Replica[Any]], key: object, at_most: timedelta | None = None
    ) -> None:
        """Called before a row is read: what is read later is no older. Raises StaleReplica.

        at_most: the reader's own demand, in place of the declared one.
        """
        limit = self.at_most if at_most is None else at_most
        age = await age_of(session, replica, key)
        if age is not None and age <= limit:
            return
        if self.otherwise != "serve":
            raise StaleReplica(replica, str(key), age, limit, waits=self.otherwise == "wait")
        session.info.setdefault(STALE, {})[replica] = age


async def age_of(session: AsyncSession, replica: type[Replica[Any]], key: object) -> timedelta | None:
    """How old a row of a replica is at most.

    None: nobody can say. Its owner has not answered yet, it was never filled, or a message of this very key has failed.
    """
    found = await session.scalar(AGE, {"replica": replica.__tablename__, "key": clean(str(key))})
    return cast("timedelta | None", found)


async def is_fresh_again(sessions: Sessions, stale: StaleReplica, seconds: float) -> bool:
    """Waits until what was too old is fresh enough; says whether it became so within `seconds`."""

    async def is_fresh(session: AsyncSession) -> bool:
        age = await age_of(session, stale.replica, stale.key)
        return age is not None and age <= stale.at_most

    return await holds(sessions, is_fresh, seconds)


async def holds(sessions: Sessions, condition: Callable[[AsyncSession], Awaitable[bool]], seconds: float) -> bool:
    """Looks at once and then again and again, in a transaction each; says whether it came to hold within `seconds`."""
    until, pause = time.monotonic() + seconds, 0.005
    while True:
        async with sessions() as session:
            if await condition(session):
                return True
        if time.monotonic() + pause > until:
            return False
        await asyncio.sleep(pause)
        pause = min(pause * 2, 0.1)


def served_stale(session: AsyncSession) -> str | None:
    """What X-Stale says of the replicas that were read although they are too old: owner, replica, seconds; None for none."""
    read: dict[type[Replica[Any]], timedelta | None] = session.info.get(STALE, {})
    return ", ".join(f"{owner_of(replica)} {replica.__tablename__} {_seconds(age)}" for replica, age in read.items()) or None


def _seconds(age: timedelta | None) -> str:
    return "unknown" if age is None else f"{int(age.total_seconds())}s"
