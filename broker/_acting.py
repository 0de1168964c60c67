"""Carrying out what people asked for: replays with a canary, discards, restores; resumed where a killed process left them.

A database lock per action sees to it that one process carries it out at a time. Nothing depends on that: whatever two of them
did at once, each message takes effect once, and each outcome is written in the transaction that makes it true.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import structlog
from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from broker._actions import Action, Part, Result, State, end, look, note, put_down, suspect, take_up
from broker._clock import clock
from broker._corrections import discard, restore
from broker._crash_points import CrashPoint
from broker._loop import Loop
from broker._publishing import lock_number
from broker._replay import Outcome, Retrier
from broker._tables import action, action_message

log = structlog.get_logger("nilecare.backbone")

TOGETHER = 200
"""Messages that are handled in one transaction, once the first of their kind went well."""

CRASHES = 3
"""Attempts that may end with the process before a message is given up."""

RESULTS: Mapping[str, Result] = {"done": "took effect", "known": "had taken effect", "gone": "gone", "foreign": "foreign"}

Teller = Callable[[Mapping[int, Result]], Awaitable[None]]
"""Is told of outcomes, by position, as they come."""


async def _silent(outcomes: Mapping[int, Result]) -> None:
    """Nobody listens."""


@dataclass(slots=True)
class _Cause:
    """One fingerprint of a replay: how many of its messages were tried, and whether its cure was none."""

    fingerprint: str
    tried: int
    is_given_up: bool


class Metronome:
    """Keeps to `rate` beats a second; None is no rate. A late beat moves those after it: nothing is caught up with."""

    def __init__(
        self,
        rate: float | None,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._between = 0.0 if rate is None else 1 / rate
        self._now, self._sleep = now, sleep
        self._next = now()

    async def beat(self) -> None:
        """Comes back when the next may be done."""
        if self._between:
            await self._sleep(max(0.0, self._next - self._now()))
            self._next = max(self._next, self._now()) + self._between


class ActionLoop(Loop):
    """Carries out the actions that run in one service's database. Every copy of the service may run it."""

    def __init__(self, retrier: Retrier, *, interval: float = 2.0) -> None:
        super().__init__(f"{retrier.service.name}.actions", interval=interval)
        self._database = retrier.database
        self._retrier = retrier

    async def run_once(self) -> bool:
        """Carries out what runs and nobody else has in hand; False, since nothing is left then."""
        running = select(action.c.id).where(action.c.state == "running").order_by(action.c.id)
        for id_ in await self._database.glance(running):
            if not self.stopping and await self.carry_out(id_):
                log.info("action.carried_out", service=self._retrier.service.name, action=str(id_))
        return False

    async def carry_out(self, id_: UUID, tell: Teller = _silent) -> bool:
        """Carries one action out, from where it stands; False when another process has it in hand.

        Comes back early when the loop is stopped, or somebody stops the action. Raises only what tells that the database is
        out of reach.
        """
        async with self._alone(id_) as is_alone:
            if not is_alone:
                return False
            async with self._database.reading() as session:
                found = await look(session, id_)
            if found is None or found.state != "running":
                return True
            run = _Run(self._retrier, found, lambda: self.stopping, tell)
            if found.total > TOGETHER:
                await run.have_planned()
            state = await (run.replay() if found.verb == "replay" else run.change())
            async with self._database.transaction(CrashPoint.ACTION_ENDED) as session:
                await put_down(session, id_)
                if state is not None:
                    await end(session, id_, state)
            return True

    @contextlib.asynccontextmanager
    async def _alone(self, id_: UUID) -> AsyncIterator[bool]:
        number = lock_number("action", str(id_))
        async with self._database.engine.connect() as opened:
            connection = await opened.execution_options(isolation_level="AUTOCOMMIT")
            is_alone = bool(await connection.scalar(select(func.pg_try_advisory_lock(number))))
            try:
                yield is_alone
            finally:
                if is_alone:
                    await connection.scalar(select(func.pg_advisory_unlock(number)))


class _Run:
    """One action in this process's hands."""

    def __init__(self, retrier: Retrier, action_: Action, is_stopping: Callable[[], bool], tell: Teller) -> None:
        self._database, self._retrier, self._action = retrier.database, retrier, action_
        self._is_stopping, self._tell = is_stopping, tell
        self._metronome = Metronome(action_.pace.rate)

    async def have_planned(self) -> None:
        """Tells PostgreSQL how many messages the action has: planned for none, each step would read all of them again."""
        async with self._database.transaction(CrashPoint.HOUSEKEEPING_DONE) as session:
            await session.execute(text(f"ANALYZE {action_message.fullname}"))

    async def change(self) -> State | None:
        """Discards, or restores, one message after the other. Gives the state that it ended in; None when it was broken off."""
        work = restore if self._action.verb == "restore" else discard
        while parts := await self._open():
            for part in parts:
                if not await self._goes_on():
                    return None
                async with self._database.transaction(CrashPoint.MESSAGE_CHANGED) as session:
                    result = await work(session, part.position, self._action.id)
                    await note(session, self._action.id, {part.position: (result, None)})
                await self._tell({part.position: result})
        return "done"

    async def replay(self) -> State | None:
        """Tries the first of each fingerprint, a few more, then the rest; what lies behind others once more at the end."""
        async with self._database.transaction(CrashPoint.REPLAY_RESUMED) as session:
            await suspect(session, self._action)
        causes = await self._causes()
        pace = self._action.pace
        for upto in (pace.canary, pace.canary + pace.few):
            for cause in causes:
                while cause.tried < upto and not cause.is_given_up:
                    found = await self._open(cause.fingerprint, limit=1)
                    if not found:
                        break
                    if not await self._goes_on():
                        return None
                    if not await self._try(found[0], cause, is_first=True):
                        break
        by_name = {cause.fingerprint: cause for cause in causes}
        progress = True
        while progress:
            progress, after = False, 0
            while parts := await self._take_up(after):
                after = parts[-1].place
                progress = await self._try_all(parts, by_name) or progress
            if not await self._goes_on():
                return None
        for part in await self._open(limit=self._action.total):
            await self._note(part, "behind", None)
        return "halted" if any(cause.is_given_up for cause in causes) else "done"

    async def _try_all(self, parts: Sequence[Part], causes: Mapping[str, _Cause]) -> bool:
        """Tries these together where that can be, else one by one; says whether anything came of it."""
        ended: set[int] = set()
        if self._action.pace.rate is None:
            for name in dict.fromkeys(part.subscription for part in parts):
                together = [part for part in parts if part.subscription == name and not part.tries]
                if len(together) > 1 and name in self._retrier.subscriptions:
                    ended |= await self._try_together(name, together)
        progress = bool(ended)
        for part in parts:
            cause = causes[part.fingerprint]
            if part.position in ended or cause.is_given_up:
                continue
            if not await self._goes_on():
                break
            progress = await self._try(part, cause) or progress
        return progress

    async def _try_together(self, subscription: str, parts: Sequence[Part]) -> set[int]:
        async def write(session: AsyncSession, outcomes: Mapping[int, Outcome]) -> None:
            await note(session, self._action.id, {position: _result(each, "") for position, each in outcomes.items()})

        outcomes = await self._retrier.retry_together(subscription, {part.position: part.key for part in parts}, write)
        if outcomes:
            await self._tell({position: RESULTS[outcome.result] for position, outcome in outcomes.items()})
        return set(outcomes)

    async def _try(self, part: Part, cause: _Cause, *, is_first: bool = False) -> bool:
        """Tries one message; False when it lies behind another."""
        if not is_first:
            await self._metronome.beat()
        if part.tries >= CRASHES:
            await self._retrier.give_up(part.position, CRASHES)
            await self._note(part, "failed again", f"ended the process {CRASHES} times")
            await self._give_up(cause)
            return True
        await self._count_try(part, 1)

        async def write(session: AsyncSession, outcomes: Mapping[int, Outcome]) -> None:
            results = {position: _result(each, cause.fingerprint) for position, each in outcomes.items()}
            await note(session, self._action.id, results)

        outcome = await self._retrier.retry(part.position, write)
        if outcome.result == "behind":
            await self._count_try(part, -1)
            return False
        cause.tried += 1
        result, _ = _result(outcome, cause.fingerprint)
        if outcome.result in ("gone", "foreign"):
            await self._note(part, result, None)
        else:
            await self._tell({part.position: result})
        if outcome.result == "failed":
            if result == "failed again" or is_first:
                await self._give_up(cause)
        elif outcome.result == "done":
            await self._retrier.follow(part.subscription, part.key)
        return True

    async def _give_up(self, cause: _Cause) -> None:
        """The cure was none: the others of this fingerprint are left as they are."""
        cause.is_given_up = True
        part = action_message.c
        async with self._database.transaction(CrashPoint.REPLAY_GIVEN_UP) as session:
            await session.execute(
                update(action_message)
                .where(part.action == self._action.id, part.fingerprint == cause.fingerprint, part.outcome.is_(None))
                .values(outcome="not tried", detail="others of its kind failed again", at=clock.now())
            )

    async def _causes(self) -> list[_Cause]:
        """The fingerprints of the set, with what an earlier process has learned of them; one that it had to give up is."""
        part = action_message.c
        failed, otherwise = (func.count().filter(part.outcome == result) for result in ("failed again", "failed otherwise"))
        counted = select(part.fingerprint, func.count(part.outcome), failed, otherwise).where(part.action == self._action.id)
        async with self._database.reading() as session:
            rows = await session.execute(counted.group_by(part.fingerprint).order_by(func.min(part.place)))
        first = self._action.pace.canary + self._action.pace.few
        causes = [_Cause(name, tried, failed > 0 or (other > 0 and tried <= first)) for name, tried, failed, other in rows]
        for cause in causes:
            if cause.is_given_up:
                await self._give_up(cause)
        return causes

    async def _take_up(self, after: int) -> list[Part]:
        """The next, written down before they are tried; none when this process or the action was stopped."""
        if self._is_stopping():
            return []
        async with self._database.transaction(CrashPoint.REPLAY_TAKEN_UP) as session:
            return await take_up(session, self._action.id, after=after, limit=TOGETHER)

    async def _open(self, fingerprint: str | None = None, *, limit: int = TOGETHER) -> list[Part]:
        part = action_message.c
        query = select(action_message).where(part.action == self._action.id, part.outcome.is_(None))
        if fingerprint is not None:
            query = query.where(part.fingerprint == fingerprint)
        async with self._database.reading() as session:
            rows = await session.execute(query.order_by(part.place).limit(limit))
            return [Part(**row) for row in rows.mappings()]

    async def _goes_on(self) -> bool:
        """Whether neither this process nor the action was stopped."""
        if self._is_stopping():
            return False
        async with self._database.reading() as session:
            state = await session.scalar(select(action.c.state).where(action.c.id == self._action.id))
        return state == "running"

    async def _count_try(self, part: Part, by: int) -> None:
        """Writes down that one is about to be tried, and takes it back: one that ends the process is found out by that."""
        here = (action_message.c.action == part.action, action_message.c.place == part.place)
        async with self._database.transaction(CrashPoint.REPLAY_COUNTED) as session:
            await session.execute(update(action_message).where(*here).values(tries=action_message.c.tries + by))

    async def _note(self, part: Part, result: Result, detail: str | None) -> None:
        async with self._database.transaction(CrashPoint.REPLAY_NOTED) as session:
            await note(session, self._action.id, {part.position: (result, detail)})
        await self._tell({part.position: result})


def _result(outcome: Outcome, fingerprint: str) -> tuple[Result, str | None]:
    if outcome.verdict is None:
        return RESULTS[outcome.result], None
    evidence = outcome.verdict.evidence
    same = evidence.fingerprint == fingerprint
    return "failed again" if same else "failed otherwise", f"{outcome.verdict.state}: {evidence.error}: {evidence.reason}"
