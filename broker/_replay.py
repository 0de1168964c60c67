"""Running a kept message through the handler it was meant for: the same way for a retry by itself and for a person's replay.

One transaction holds the effect, the inbox row and the end of the failed message, so that there is exactly one effect even
when the inbox has long forgotten the message.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Row, exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from broker._crash_points import CrashPoint, passing
from broker._database import Database, LentSession
from broker._dead_letters import read
from broker._delivery import Delivery
from broker._envelope import Envelope
from broker._erased import shut_out_erasures
from broker._failures import Failures, close, lock_keys, pass_on, release, take_out
from broker._invocation import Invocation
from broker._persons import is_erasable
from broker._service import Service
from broker._subscriptions import Subscription
from broker._tables import failed_message, inbox
from broker._verdicts import Verdict, is_transient
from broker.errors import Permanent

TRANSIENT_ATTEMPTS = 4
"""Attempts at once where a deadlock, a time-out or the like is to blame."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of trying a message.

    done: it took effect. known: it had taken effect before. failed: see the verdict. behind: an earlier message of its key must
    go first. gone: somebody else was faster. foreign: this code has no such subscription.
    """

    result: Literal["done", "known", "failed", "behind", "gone", "foreign"]
    verdict: Verdict | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing of the message is left to do."""
        return self.result in {"done", "known", "gone"}


DONE, KNOWN = Outcome("done"), Outcome("known")

Note = Callable[[AsyncSession, Mapping[int, Outcome]], Awaitable[None]]
"""Writes outcomes down, by position, in the very transaction that makes them true."""


class Retrier:
    """Runs kept messages of a service through the handlers they were meant for."""

    def __init__(self, database: Database, service: Service, failures: Failures | None = None) -> None:
        self.database = database
        self.service = service
        self.failures = failures or Failures(service)
        self.subscriptions = {subscription.name: subscription for subscription in service.subscriptions}
        self.invocations = {name: Invocation(service, subscription) for name, subscription in self.subscriptions.items()}

    async def retry(self, position: int, note: Note | None = None) -> Outcome:
        """Tries one message now, due or not. `note` is told of its end, and of its next failure, in that very transaction.

        Raises only what tells that the database is out of reach.
        """
        async with self.database.reading() as session:
            row = await read(session, position)
        if row is None:
            return Outcome("gone")
        subscription = self.subscriptions.get(row.subscription)
        if subscription is None:
            return Outcome("foreign")
        try:
            return await self._patiently(row, subscription, note)
        except Exception as failure:
            return await self._failed(row, subscription, failure, note)

    async def retry_together(self, subscription: str, kept: Mapping[int, str], note: Note) -> Mapping[int, Outcome]:
        """Tries many messages of one subscription in one transaction, in their order, and lets their successors follow; gives
        what became of them. kept: their keys, by position.

        Those left out were not tried: they lie behind others. None of them was when anything was raised: who is to blame shows
        when they are tried one by one.
        """
        keys = set(kept.values())
        try:
            async with self.database.lent() as session:
                await _shut_out_erasures(session, self.subscriptions[subscription])
                await lock_keys(session, subscription, keys)
                outcomes = await self._handle_together(session, self.subscriptions[subscription], list(kept))
                due = await pass_on(session, subscription, keys)
                await note(session, outcomes)
                passing(CrashPoint.REPLAY_HANDLED)
                await session.settle(CrashPoint.REPLAY_COMMITTED)
        except Exception:
            return {}
        for key in due:
            await self.follow(subscription, key)
        return outcomes

    async def follow(self, subscription: str, key: str) -> int:
        """Lets the successors of a message that went through go, in order, until one fails; says how many went."""
        gone = 0
        if self.subscriptions[subscription].on_failure == "pass" or not key:
            return gone
        while (position := await self._next(subscription, key)) is not None:
            if not (await self.retry(position)).is_over:
                break
            gone += 1
        return gone

    async def give_up(self, position: int, crashes: int) -> Outcome:
        """Makes a message dead that ended the process each time it was tried."""
        async with self.database.reading() as session:
            row = await read(session, position)
        if row is None:
            return Outcome("gone")
        crash = Permanent(f"ended the process {crashes} times while it was handled alone")
        return await self._failed(row, self.subscriptions[row.subscription], crash, None)

    def envelope_of(self, row: Row[Any], subscription: Subscription, body: bytes | None = None) -> Envelope:
        """What a kept message says it is (with another `body`), where the way that it came bears it out.

        Raises Permanent, Newer.
        """
        delivery = Delivery.stored(row.exchange, row.routing_key, row.properties, row.body if body is None else body)
        envelope = delivery.envelope()
        delivery.check(envelope, subscription, self.service.queue(subscription))
        return envelope

    async def _patiently(self, row: Row[Any], subscription: Subscription, note: Note | None) -> Outcome:
        """Tries again at once, a few times, while nobody is to blame."""
        async for attempt in AsyncRetrying(
            retry=retry_if_exception(is_transient),
            stop=stop_after_attempt(TRANSIENT_ATTEMPTS),
            wait=wait_random_exponential(multiplier=0.05, max=0.5),
            reraise=True,
        ):
            with attempt:
                return await self._handle(row, subscription, note)
        raise AssertionError("tenacity either returns or raises")

    async def _handle(self, seen: Row[Any], subscription: Subscription, note: Note | None) -> Outcome:
        async with self.database.lent() as session:
            await _shut_out_erasures(session, subscription)
            await lock_keys(session, subscription.name, [seen.key])
            row = await read(session, seen.position)
            if row is None:
                return Outcome("gone")
            if subscription.on_failure == "hold" and await is_behind(session, row):
                return Outcome("behind")
            envelope = self.envelope_of(row, subscription)
            known = await is_in_inbox(session, subscription.name, envelope)
            if not known:
                await self.invocations[subscription.name].invoke(session, envelope)
                await session.flush()
            outcome = KNOWN if known else DONE
            await close(session, subscription.name, [row])
            if note is not None:
                await note(session, {row.position: outcome})
            passing(CrashPoint.RETRY_HANDLED)
            await session.settle(CrashPoint.RETRY_COMMITTED)
            return outcome

    async def _handle_together(
        self, session: LentSession, subscription: Subscription, positions: Sequence[int]
    ) -> dict[int, Outcome]:
        invocation = self.invocations[subscription.name]
        outcomes: dict[int, Outcome] = {}
        for row in await take_out(session, subscription, positions):
            envelope = self.envelope_of(row, subscription)
            if row.is_new:
                await invocation.invoke(session, envelope)
            outcomes[row.position] = DONE if row.is_new else KNOWN
        await session.flush()
        return outcomes

    async def _failed(self, row: Row[Any], subscription: Subscription, failure: Exception, note: Note | None) -> Outcome:
        """Writes the failure down in a transaction of its own: that of the handler is lost, and its locks with it."""
        async with self.database.transaction(CrashPoint.RETRY_FAILED) as session:
            await lock_keys(session, subscription.name, [row.key])
            envelope = _envelope_if_known(row)
            verdict = await self.failures.again(session, subscription, row.position, envelope, failure)
            if verdict is None:
                await release(session, subscription.name, [row.key])
                return Outcome("gone")
            outcome = Outcome("failed", verdict)
            if note is not None:
                await note(session, {row.position: outcome})
            return outcome

    async def _next(self, subscription: str, key: str) -> int | None:
        """The head of the key, when its turn has come."""
        head = (
            select(failed_message.c.position, failed_message.c.state)
            .where(failed_message.c.subscription == subscription, failed_message.c.key == key)
            .order_by(failed_message.c.position)
            .limit(1)
        )
        async with self.database.reading() as session:
            row = (await session.execute(head)).one_or_none()
        return row.position if row is not None and row.state == "retrying" else None


async def is_behind(session: AsyncSession, row: Row[Any]) -> bool:
    """Whether an earlier message of its key is open. Those without an envelope have no key, and no order."""
    if not row.key:
        return False
    same = (failed_message.c.subscription == row.subscription, failed_message.c.key == row.key)
    first = await session.scalar(select(func.min(failed_message.c.position)).where(*same))
    return bool(first != row.position)


async def is_in_inbox(session: AsyncSession, subscription: str, envelope: Envelope) -> bool:
    """Whether a message took effect, or was let go."""
    seen = exists().where(inbox.c.id == envelope.id, inbox.c.subscription == subscription)
    return bool(await session.scalar(select(seen)))


async def _shut_out_erasures(session: AsyncSession, subscription: Subscription) -> None:
    """A body that is kept says nothing of anybody erased; nobody is, between reading it and its effect."""
    if is_erasable(subscription.events):
        await shut_out_erasures(session)


def _envelope_if_known(row: Row[Any]) -> Envelope | None:
    """The envelope of a message that was believed when it was kept: it stands under its id."""
    if row.id is None:
        return None
    return Delivery.stored(row.exchange, row.routing_key, row.properties, row.body).envelope()
