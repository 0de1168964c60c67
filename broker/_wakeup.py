"""Waking the relay of another process: one notification for however many commits.

NOTIFY inside the publishing transaction would take a lock of the whole PostgreSQL instance at every commit; here it is sent
after the commits, in a transaction of its own, at most one at a time.
"""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from broker._crash_points import CrashPoint, passing
from broker._loop import Loop
from broker._relay import CHANNEL


class Notifier(Loop):
    """Wakes the relay in another process; `wake` it after each commit that published."""

    def __init__(self, service: str, engine: AsyncEngine) -> None:
        super().__init__(f"{service}.notifier", interval=3600)
        self._engine = engine
        self._rung = False

    def wake(self) -> None:
        """Asks for one notification."""
        self._rung = True
        super().wake()

    async def run_once(self) -> bool:
        """Sends one notification for all commits since the last."""
        if self._rung:
            self._rung = False
            async with self._engine.begin() as connection:
                await connection.execute(text(f"NOTIFY {CHANNEL}"))
            passing(CrashPoint.RELAY_NOTIFIED)
        return False
