"""The workers that make calls to the world outside.

A call is `pending`, then `sending` (committed before anything is sent), then `answered`: its outcome is known and its
effect committed with that word. `received` has its outcome, but the effect failed and is tried again. `unknown` may or may
not have been done; so is a `sending` that outlived its deadline, which is what a crash leaves. `given_up` never will be.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast
from uuid import UUID

import httpx
import structlog
from pydantic import BaseModel, ValidationError
from sqlalchemy import CursorResult, text
from sqlalchemy.ext.asyncio import AsyncSession

from broker._context import Cause, caused_by
from broker._crash_points import CrashPoint, passing
from broker._database import Database
from broker._loop import Loop
from broker._outside import LEAVE, Ask, Outside, SendAgain, World
from broker._tls import authorities
from broker.errors import Later, Permanent

log = structlog.get_logger("nilecare.backbone")

GRACE = 1.0
"""Seconds after its deadline in which a worker that is alive has surely noted what became of a call."""

LONGEST_PAUSE = 300.0
NEVER = float("inf")
OVER = frozenset({"answered", "given_up"})
NOT_SENT = (Later, httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)

OPEN = "IN ('pending', 'sending', 'unknown', 'received')"
"""The states of a call for which somebody is still to do something."""

DUE = text(
    f"""
    SELECT id, state, CAST(request AS text) AS request, CAST(outcome AS text) AS outcome, attempts, flow, cause, trace
    FROM backbone.call
    WHERE name = :name AND state {OPEN} AND due_at <= clock_timestamp()
          AND NOT EXISTS (
              SELECT FROM backbone.call earlier
              WHERE earlier.name = call.name AND earlier.key = call.key AND earlier.position < call.position
                    AND earlier.state {OPEN}
          )
    ORDER BY position
    LIMIT :limit
    FOR UPDATE SKIP LOCKED
    """  # noqa: S608 (put together from constants)
)
NAMES_DUE = text(
    f"""
    SELECT name FROM unnest(CAST(:names AS text[])) AS name
    WHERE EXISTS (
        SELECT FROM backbone.call
        WHERE call.name = name.name AND state {OPEN} AND due_at <= clock_timestamp()
    )
    """  # noqa: S608 (put together from constants)
)
"""Of these calls those of which one is due, or will be when an earlier one of its key has ended."""

MOVE = text(
    f"""
    UPDATE backbone.call
    SET state = :state, attempts = attempts + :counted, error = coalesce(:error, error),
        outcome = coalesce(CAST(:outcome AS jsonb), outcome),
        request = CASE WHEN :forget THEN '{{}}' ELSE request END,
        due_at = CASE WHEN CAST(:seconds AS float) = 'infinity' THEN 'infinity'
                      ELSE clock_timestamp() + make_interval(secs => :seconds) END
    WHERE id = :id AND attempts = :attempts AND state {OPEN}
    """  # noqa: S608 (put together from constants)
)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A call in this worker's hands. Whoever claims it counts an attempt: the number tells the holder from earlier ones."""

    id: UUID
    outside: Outside[Any, Any]
    state: str
    request: str
    outcome: str | None
    attempts: int
    cause: Cause

    @property
    def lease(self) -> float:
        """Seconds until it counts as abandoned."""
        return self.outside.deadline.total_seconds() + GRACE


class LostClaim(Exception):
    """Somebody else has taken the call over: what this worker learned no longer counts."""


class CallWorkers(Loop):
    """Makes the calls of one service: one at a time per key, several keys at once. Any number may run."""

    def __init__(
        self,
        database: Database,
        calls: Iterable[Outside[Any, Any]],
        settings: Mapping[str, str],
        *,
        interval: float = 0.25,
        first_pause: float = 0.5,
    ) -> None:
        super().__init__("calls", interval=interval)
        self.database = database
        self.calls = list(calls)
        self.settings = settings
        self.first_pause = first_pause
        self._http: httpx.AsyncClient | None = None
        self._running: dict[asyncio.Task[None], str] = {}

    async def run_once(self) -> bool:
        """Takes up what is due, as far as there is room; a call that ends asks for another round."""
        under_way = Counter(self._running.values())
        room = {each.name: each.keys_at_once - under_way[each.name] for each in self.calls}
        due = await self.database.glance(NAMES_DUE, {"names": [name for name, places in room.items() if places > 0]})
        for outside in self.calls:
            for claimed in await self._claim(outside, room[outside.name]) if outside.name in due else ():
                task = asyncio.create_task(self._carry_out(claimed), name=f"call {outside.name}")
                self._running[task] = outside.name
                task.add_done_callback(self._ended)
        return False

    async def idle(self) -> None:
        """Returns when no call is in hand."""
        while self._running:
            await asyncio.wait(list(self._running))

    async def close(self) -> None:
        """Lets the calls in hand come to their end, which their deadlines bound."""
        await self.idle()
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        self.wake()

    @property
    def _world(self) -> World:
        if self._http is None:
            # Each call has its own deadline.
            self._http = httpx.AsyncClient(timeout=None, verify=authorities())  # noqa: S113
        return World(self._http, self.settings)

    async def _claim(self, outside: Outside[Any, Any], room: int) -> list[Claimed]:
        async with self.database.lent() as session:
            rows = (await session.execute(DUE, {"name": outside.name, "limit": room})).all()
            claims = []
            for row in rows:
                cause = Cause(row.flow, row.cause, row.trace)
                claimed = Claimed(row.id, outside, row.state, row.request, row.outcome, row.attempts, cause)
                state = _state_in_hand(claimed)
                seconds = NEVER if state == "left" else claimed.lease
                await _move(session, claimed, "unknown" if state == "left" else state, seconds, counted=1)
                if state == "left":
                    log.error("call.left_unknown", call=outside.name, id=str(row.id))
                else:
                    claims.append(replace(claimed, state=state, attempts=row.attempts + 1))
            if rows:
                await session.settle(CrashPoint.CALL_CLAIMED)
        return claims

    async def _carry_out(self, claimed: Claimed) -> None:
        try:
            with caused_by(claimed.cause):
                await self._work(claimed)
        except LostClaim:
            log.warning("call.taken_over", call=claimed.outside.name, id=str(claimed.id))
        except Exception as failure:
            # It keeps its state: when its lease is over, somebody takes it up again.
            log.error("call.not_noted", call=claimed.outside.name, id=str(claimed.id), error=type(failure).__name__)

    async def _work(self, claimed: Claimed) -> None:
        outside = claimed.outside
        try:
            request = outside.request_type.model_validate_json(claimed.request)
            if claimed.state == "received" and claimed.outcome is not None:
                await self._settle(claimed, request, outside.outcome_type.model_validate_json(claimed.outcome))
                return
        except ValidationError:
            await self._put_off(claimed, claimed.state, "its model no longer reads what was stored")
            return
        if claimed.state == "unknown":
            assert isinstance(outside.if_unknown, Ask)
            try:
                known = await self._attempt(claimed, request, outside.if_unknown.function)
            except Exception as failure:
                await self._put_off(claimed, "unknown", type(failure).__name__)
                return
            if known is not None:
                await self._settle(claimed, request, known)
                return
            claimed = await self._mark_sending(claimed)
        if isinstance(outside.if_unknown, SendAgain) and claimed.attempts > outside.if_unknown.at_most:
            await self._take_for(claimed, request, outside.if_unknown)
        else:
            await self._send(claimed, request)

    async def _send(self, claimed: Claimed, request: BaseModel) -> None:
        try:
            outcome = await self._attempt(claimed, request, claimed.outside.function)
        except NOT_SENT as failure:
            await self._put_off(claimed, "pending", type(failure).__name__)
        except Permanent as failure:
            log.error("call.given_up", call=claimed.outside.name, id=str(claimed.id), error=type(failure).__name__)
            await self._note(claimed, "given_up", 0, error=str(failure))
        except Exception as failure:
            if isinstance(claimed.outside.if_unknown, SendAgain) and claimed.attempts >= claimed.outside.if_unknown.at_most:
                await self._take_for(claimed, request, claimed.outside.if_unknown)
            else:
                await self._put_off(claimed, "unknown", type(failure).__name__)
        else:
            await self._settle(claimed, request, outcome)

    async def _take_for(self, claimed: Claimed, request: BaseModel, policy: SendAgain) -> None:
        log.error("call.never_known", call=claimed.outside.name, id=str(claimed.id), attempts=claimed.attempts)
        await self._settle(claimed, request, policy.then)

    async def _attempt(self, claimed: Claimed, request: BaseModel, function: Callable[..., Awaitable[Any]]) -> Any:
        try:
            async with asyncio.timeout(claimed.outside.deadline.total_seconds()):
                return await function(request, str(claimed.id), self._world)
        finally:
            passing(CrashPoint.CALL_MADE)

    async def _settle(self, claimed: Claimed, request: BaseModel, outcome: BaseModel) -> None:
        effect = claimed.outside.effect
        assert effect is not None
        stored = outcome.model_dump_json()
        try:
            async with self.database.lent() as session:
                # First, so that the row is locked: only the holder of the claim comes to the effect, and once.
                await _move(session, claimed, "answered", 0, outcome=stored)
                await effect(session, request, outcome)
                passing(CrashPoint.CALL_HANDLED)
                await session.settle(CrashPoint.CALL_COMMITTED)
        except LostClaim:
            raise
        except Exception as failure:
            log.error("call.effect_failed", call=claimed.outside.name, id=str(claimed.id), error=type(failure).__name__)
            await self._note(claimed, "received", self._back_off(claimed), error=type(failure).__name__, outcome=stored)

    async def _mark_sending(self, claimed: Claimed) -> Claimed:
        await self._note(claimed, "sending", claimed.lease, counted=1)
        return replace(claimed, state="sending", attempts=claimed.attempts + 1)

    async def _put_off(self, claimed: Claimed, state: str, error: str) -> None:
        log.warning("call.put_off", call=claimed.outside.name, id=str(claimed.id), state=state, error=error)
        await self._note(claimed, state, self._back_off(claimed), error=error)

    async def _note(self, claimed: Claimed, state: str, seconds: float, **more: Any) -> None:
        async with self.database.transaction(CrashPoint.CALL_NOTED) as session:
            await _move(session, claimed, state, seconds, **more)

    def _back_off(self, claimed: Claimed) -> float:
        longest: float = min(self.first_pause * 2 ** min(claimed.attempts - 1, 16), LONGEST_PAUSE)
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 (no secret)


def _state_in_hand(claimed: Claimed) -> str:
    """The state that a due call gets when a worker takes it up; "left" when none may."""
    if claimed.state in ("pending", "received"):
        return "sending" if claimed.state == "pending" else "received"
    if claimed.outside.if_unknown is LEAVE:
        return "left"
    return "unknown" if isinstance(claimed.outside.if_unknown, Ask) else "sending"


async def _move(
    session: AsyncSession,
    claimed: Claimed,
    state: str,
    seconds: float,
    *,
    counted: int = 0,
    error: str | None = None,
    outcome: str | None = None,
) -> None:
    moved = await session.execute(
        MOVE,
        {
            "id": claimed.id,
            "state": state,
            "seconds": seconds,
            "attempts": claimed.attempts,
            "counted": counted,
            "error": error,
            "outcome": outcome,
            "forget": claimed.outside.forget and state in OVER,
        },
    )
    if cast("CursorResult[Any]", moved).rowcount != 1:
        raise LostClaim
