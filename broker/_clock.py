"""Business time: the wall clock, plus a shift that only tests set.

Everything that a rule, a due date or an event's time depends on asks this clock. Sockets, locks, retention and the
back-off inside one attempt do not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from broker._loop import Loop

CHANNEL = "backbone_clock"

SHIFT = text("SELECT shift FROM backbone.clock")


class Clock:
    """The process's business clock; `shift` follows the row in `backbone.clock` of the service's database."""

    def __init__(self) -> None:
        self.shift = timedelta()

    def now(self) -> datetime:
        """Business time, in UTC."""
        return datetime.now(UTC) + self.shift

    async def take_over(self, engine: AsyncEngine) -> None:
        """Sets it as a database has it, once: for a process that does one thing there and ends."""
        async with engine.connect() as connection:
            self.shift = await connection.scalar(SHIFT) or timedelta()

    async def move(self, by: timedelta, engines: Iterable[AsyncEngine]) -> None:
        """Moves business time, for every process that follows one of these databases. For tests.

        All of them are set to the same shift: that of this process, moved.
        """
        shift = self.shift + by
        for engine in engines:
            async with engine.begin() as connection:
                await connection.execute(text("UPDATE backbone.clock SET shift = :shift"), {"shift": shift})
                await connection.execute(text("SELECT pg_notify(:channel, '')"), {"channel": CHANNEL})
        self.shift = shift


clock = Clock()


def age(moment: datetime) -> str:
    """How long ago, in the largest unit that fits: `3 d`, `12 min`."""
    seconds = max(int((clock.now() - moment).total_seconds()), 0)
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


class ClockFollower(Loop):
    """Sets this process's clock when the shift in the database changes, and says so to those who wait for a time.

    It holds one connection, which listens; the interval only covers a lost one.
    """

    def __init__(self, engine: AsyncEngine, on_move: Callable[[], Any] | None = None, *, interval: float = 5.0) -> None:
        super().__init__("clock", interval=interval)
        self.engine = engine
        self.on_move = on_move
        # Only a change of this database counts: the services of one process share the clock, and are moved one by one.
        self._seen = timedelta()
        self._listening: AsyncConnection | None = None

    async def run_once(self) -> bool:
        """Reads the shift."""
        try:
            connection = await self._connection()
            shift: timedelta | None = await connection.scalar(SHIFT)
        except Exception:
            await self.close()
            raise
        if shift is not None and shift != self._seen:
            self._seen = clock.shift = shift
            if self.on_move is not None:
                self.on_move()
        return False

    async def close(self) -> None:
        """Gives the listening connection back."""
        connection, self._listening = self._listening, None
        if connection is not None:
            await connection.invalidate()
            await connection.close()

    async def _connection(self) -> AsyncConnection:
        if self._listening is None:
            connection = await self.engine.connect()
            self._listening = await connection.execution_options(isolation_level="AUTOCOMMIT")
            driver = (await connection.get_raw_connection()).driver_connection
            assert driver is not None
            await driver.add_listener(CHANNEL, lambda *_: self.wake())
        return self._listening
