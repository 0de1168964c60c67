"""Trying kept messages again when they are due.

After the head of a key come its successors, in order, each in a transaction of its own; until the last of them is through,
new messages of the key are laid behind them.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

from sqlalchemy import CursorResult, text

from broker._clock import clock
from broker._crash_points import CrashPoint
from broker._database import Database
from broker._failures import Failures
from broker._loop import Loop
from broker._replay import Retrier
from broker._service import Service
from broker._verdicts import NEWER_CODE

LEASE = timedelta(minutes=1)
"""How long a message that is being tried is left alone by other copies; after a crash it is due again then."""

CRASHES = 3
"""Attempts that never ended, because the process did, before a message is dead."""

AT_ONCE = 50
"""Messages that one round of the loop takes up."""

READABLE = """
    FROM unnest(CAST(:subscriptions AS text[]), CAST(:types AS text[]), CAST(:versions AS int[]), CAST(:holds AS boolean[]))
         AS readable (subscription, type, version, holds)
    WHERE readable.subscription = failed.subscription AND readable.type = failed.type AND readable.version >= failed.version
"""

DUE = text(
    f"""
    SELECT position FROM backbone.failed_message failed
    WHERE state = 'retrying' AND due_at <= :now AND EXISTS (
        SELECT {READABLE} AND NOT (holds AND EXISTS (
            SELECT FROM backbone.failed_message earlier
            WHERE earlier.subscription = failed.subscription AND earlier.key = failed.key AND earlier.position < failed.position
        ))
    )
    ORDER BY due_at, position LIMIT :limit
    """  # noqa: S608 (put together from constants)
)

IS_DUE = text(
    """
    SELECT EXISTS (SELECT FROM backbone.failed_message WHERE state = 'retrying' AND due_at <= :now)
           OR EXISTS (SELECT FROM backbone.failed_message WHERE state = 'waiting' AND waits_for = :newer)
    """
)
"""Whether a message may be due, whatever this code can read."""

WAKE_READABLE = text(
    f"""
    UPDATE backbone.failed_message failed SET state = 'retrying', due_at = :now, waits_for = NULL
    WHERE state = 'waiting' AND waits_for = :newer AND EXISTS (SELECT {READABLE})
    """  # noqa: S608 (put together from constants)
)

FREE = text(
    """
    UPDATE backbone.failed_message held SET state = 'retrying', due_at = :now
    WHERE subscription = :subscription AND state = 'held' AND (:passes OR NOT EXISTS (
        SELECT FROM backbone.failed_message earlier
        WHERE earlier.subscription = held.subscription AND earlier.key = held.key AND earlier.position < held.position
    ))
    """
)

CLAIM = text(
    """
    WITH claimed AS (
             UPDATE backbone.failed_message SET due_at = :until
             WHERE position = :position AND state = 'retrying' AND due_at <= :now RETURNING subscription, id
         ),
         counted AS (
             INSERT INTO backbone.attempt (subscription, id, count) SELECT subscription, id, 1 FROM claimed WHERE id IS NOT NULL
             ON CONFLICT (subscription, id) DO UPDATE SET count = attempt.count + 1 RETURNING count
         )
    SELECT coalesce((SELECT count FROM counted), 1) FROM claimed
    """
)


class RetryLoop(Loop):
    """Tries messages again when they are due. Every copy of a service may run it: a message is tried by one at a time."""

    def __init__(self, database: Database, service: Service, failures: Failures, *, interval: float = 1.0) -> None:
        super().__init__(f"{service.name}.retry", interval=interval)
        self.retrier = Retrier(database, service, failures)
        self._database = database
        self._service = service
        self._readable = _readable(service)
        self._freed = False

    async def run_once(self) -> bool:
        """Tries what is due; True when something was, since successors may be next."""
        if not self._freed:
            await self._free()
        due = await self._due()
        for position in due:
            if self.stopping:
                break
            await self._try(position)
        return bool(due)

    async def _free(self) -> None:
        """Makes due what nothing holds any more, because its subscription lets later messages pass since this deployment."""
        async with self._database.lent() as session:
            freed = 0
            for subscription in self._service.subscriptions:
                passes = subscription.on_failure == "pass"
                asked = {"subscription": subscription.name, "passes": passes, "now": clock.now()}
                freed += cast("CursorResult[Any]", await session.execute(FREE, asked)).rowcount
            if freed:
                await session.settle(CrashPoint.MESSAGES_WOKEN)
        self._freed = True

    async def _due(self) -> list[int]:
        """What is due and this code can read. Messages that waited for such code become due here.

        Not only at the start: in a rolling deployment an older copy may lay messages by after a newer one has started.
        """
        if not any(await self._database.glance(IS_DUE, {"now": clock.now(), "newer": NEWER_CODE})):
            return []
        async with self._database.lent() as session:
            woken = await session.execute(WAKE_READABLE, {**self._readable, "now": clock.now(), "newer": NEWER_CODE})
            if cast("CursorResult[Any]", woken).rowcount:
                await session.settle(CrashPoint.MESSAGES_WOKEN)
            return list(await session.scalars(DUE, {**self._readable, "now": clock.now(), "limit": AT_ONCE}))

    async def _try(self, position: int) -> None:
        now = clock.now()
        async with self._database.lent() as session:
            attempts = await session.scalar(CLAIM, {"position": position, "now": now, "until": now + LEASE})
            if attempts is None:
                return
            await session.settle(CrashPoint.RETRY_CLAIMED)
        if attempts > CRASHES:
            await self.retrier.give_up(position, CRASHES)
        else:
            await self.retrier.retry(position)


def _readable(service: Service) -> dict[str, list[Any]]:
    """What this code can read, as parameters of READABLE."""
    pairs = [(subscription, event.contract) for subscription in service.subscriptions for event in subscription.events]
    return {
        "subscriptions": [subscription.name for subscription, _ in pairs],
        "types": [contract.name for _, contract in pairs],
        "versions": [contract.version for _, contract in pairs],
        "holds": [subscription.on_failure == "hold" for subscription, _ in pairs],
    }
