"""Attempts to handle a message alone, written down before they begin, so that one that kills the process is found out."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import text

from broker._crash_points import CrashPoint, passing
from broker._database import Database

BEGIN = text(
    """
    INSERT INTO backbone.attempt (subscription, id, count)
    SELECT :subscription, :id, 1
    WHERE NOT EXISTS (SELECT FROM backbone.inbox WHERE id = :id AND subscription = :subscription)
      AND NOT EXISTS (SELECT FROM backbone.failed_message WHERE id = :id AND subscription = :subscription)
    ON CONFLICT (subscription, id) DO UPDATE SET count = attempt.count + 1
    RETURNING count
    """
)
END = text("DELETE FROM backbone.attempt WHERE subscription = :subscription AND id = :id")


class Attempts:
    """The attempts of one subscription."""

    LIMIT = 3
    """Attempts that may end with the process before the message is given up."""

    def __init__(self, database: Database, subscription: str) -> None:
        self._database = database
        self._subscription = subscription
        self._begun: dict[UUID, int] = {}

    async def begin(self, id_: UUID) -> int | None:
        """Commits one more attempt and says the how-manieth it is; None when the message is done with already.

        An attempt that this very process began before and did not die of (the database went away) is not counted again.
        """
        if id_ not in self._begun:
            async with self._database.engine.begin() as connection:
                count = (await connection.execute(BEGIN, {"subscription": self._subscription, "id": id_})).scalar()
            passing(CrashPoint.ATTEMPT_COUNTED)
            if count is None:
                return None
            self._begun[id_] = count
        return self._begun[id_]

    async def end(self, id_: UUID) -> None:
        """Forgets the attempts: the message took effect or is kept as failed."""
        async with self._database.engine.begin() as connection:
            await connection.execute(END, {"subscription": self._subscription, "id": id_})
        passing(CrashPoint.ATTEMPT_FORGOTTEN)
        self._begun.pop(id_, None)
