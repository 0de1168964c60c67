"""Running a kept message through the handler it was meant for: the same way for a retry by itself and for a person's replay.

One transaction holds the effect, the inbox row and the end of the failed message, so that there is exactly one effect even
when the inbox has long forgotten the message.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Row, exists, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from broker._database import Database
from broker._delivery import Delivery
from broker._envelope import Envelope
from broker._failures import Failures, close, lock_key, release
from broker._invocation import Invocation
from broker._outside import DRY_RUN, StoppedBeforeCall
from broker._publishing import BUFFER
from broker._service import Service
from broker._subscriptions import Subscription
from broker._tables import failed_message, inbox
from broker._verdicts import Verdict, classify, is_transient
from broker.errors import Permanent

TRANSIENT_ATTEMPTS = 4
"""Attempts at once where a deadlock, a time-out or the like is to blame."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of trying a message.

    done: it took effect (in a dry run: it would). known: it had taken effect before. failed: see the verdict. behind: an
    earlier message of its key must go first. gone: somebody else was faster. foreign: this code has no such subscription.
    `published` names what its handler published.
    """

    result: Literal["done", "known", "failed", "behind", "gone", "foreign"]
    verdict: Verdict | None = None
    published: tuple[str, ...] = ()

    @property
    def is_over(self) -> bool:
        """Whether nothing of the message is left to do."""
        return self.result in {"done", "known", "gone"}


class Retrier:
    """Runs kept messages of a service through the handlers they were meant for."""

    def __init__(self, database: Database, service: Service, failures: Failures | None = None) -> None:
        self.database = database
        self.service = service
        self.failures = failures or Failures(service)
        self.subscriptions = {subscription.name: subscription for subscription in service.subscriptions}
        self._invocations = {name: Invocation(service, subscription) for name, subscription in self.subscriptions.items()}

    async def retry(self, position: int, *, dry_run: bool = False) -> Outcome:
        """Tries one message now, due or not. A dry run does the same and rolls it back, before any call to the outside.

        Raises only what tells that the database is out of reach.
        """
        async with self.database.transaction() as session:
            row = await read(session, position)
        if row is None:
            return Outcome("gone")
        subscription = self.subscriptions.get(row.subscription)
        if subscription is None:
            return Outcome("foreign")
        try:
            return await self._patiently(row, subscription, dry_run)
        except Exception as failure:
            if dry_run:
                return Outcome("failed", classify(failure, row.attempts + 1))
            return await self._failed(row, subscription, failure)

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
        async with self.database.transaction() as session:
            row = await read(session, position)
        if row is None:
            return Outcome("gone")
        crash = Permanent(f"ended the process {crashes} times while it was handled alone")
        return await self._failed(row, self.subscriptions[row.subscription], crash)

    async def _patiently(self, row: Row[Any], subscription: Subscription, dry_run: bool) -> Outcome:
        """Tries again at once, a few times, while nobody is to blame."""
        async for attempt in AsyncRetrying(
            retry=retry_if_exception(is_transient),
            stop=stop_after_attempt(TRANSIENT_ATTEMPTS),
            wait=wait_random_exponential(multiplier=0.05, max=0.5),
            reraise=True,
        ):
            with attempt:
                return await self._handle(row, subscription, dry_run)
        raise AssertionError("tenacity either returns or raises")

    async def _handle(self, seen: Row[Any], subscription: Subscription, dry_run: bool) -> Outcome:
        async with self.database.lent() as session:
            session.info[DRY_RUN] = dry_run
            await lock_key(session, subscription.name, seen.key)
            row = await read(session, seen.position)
            if row is None:
                return Outcome("gone")
            if subscription.on_failure == "hold" and await _is_behind(session, row):
                return Outcome("behind")
            envelope = self._envelope(row, subscription)
            known = await _is_in_inbox(session, subscription.name, envelope)
            published: tuple[str, ...] = ()
            if not known:
                published = await self._effect(session, subscription, envelope)
            if not dry_run:
                await close(session, subscription.name, row.position, id_=envelope.id, key=row.key, flow=envelope.flow)
                await session.settle()
            return Outcome("known" if known else "done", published=published)

    async def _effect(self, session: AsyncSession, subscription: Subscription, envelope: Envelope) -> tuple[str, ...]:
        """Runs the handler, and everything that could still go wrong at the commit."""
        with contextlib.suppress(StoppedBeforeCall):  # a dry run goes no further
            await self._invocations[subscription.name].invoke(session, envelope)
        await session.flush()
        await session.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
        return tuple(buffered.event.contract.name for buffered in session.sync_session.info.get(BUFFER, ()))

    def _envelope(self, row: Row[Any], subscription: Subscription) -> Envelope:
        delivery = Delivery.stored(row.exchange, row.routing_key, row.properties, row.body)
        envelope = delivery.envelope()
        delivery.check(envelope, subscription, self.service.queue(subscription))
        return envelope

    async def _failed(self, row: Row[Any], subscription: Subscription, failure: Exception) -> Outcome:
        """Writes the failure down in a transaction of its own: that of the handler is lost, and its locks with it."""
        async with self.database.transaction() as session:
            await lock_key(session, subscription.name, row.key)
            envelope = _envelope_if_known(row)
            verdict = await self.failures.again(session, subscription, row.position, envelope, failure)
            if verdict is None:
                await release(session, subscription.name, row.key)
                return Outcome("gone")
            return Outcome("failed", verdict)

    async def _next(self, subscription: str, key: str) -> int | None:
        """The head of the key, when its turn has come."""
        head = (
            select(failed_message.c.position, failed_message.c.state)
            .where(failed_message.c.subscription == subscription, failed_message.c.key == key)
            .order_by(failed_message.c.position)
            .limit(1)
        )
        async with self.database.transaction() as session:
            row = (await session.execute(head)).one_or_none()
        return row.position if row is not None and row.state == "retrying" else None


async def read(session: AsyncSession, position: int) -> Row[Any] | None:
    return (await session.execute(select(failed_message).where(failed_message.c.position == position))).one_or_none()


async def _is_behind(session: AsyncSession, row: Row[Any]) -> bool:
    """Whether an earlier message of its key is open. Those without an envelope have no key, and no order."""
    if not row.key:
        return False
    same = (failed_message.c.subscription == row.subscription, failed_message.c.key == row.key)
    first = await session.scalar(select(func.min(failed_message.c.position)).where(*same))
    return bool(first != row.position)


async def _is_in_inbox(session: AsyncSession, subscription: str, envelope: Envelope) -> bool:
    seen = exists().where(inbox.c.id == envelope.id, inbox.c.subscription == subscription)
    return bool(await session.scalar(select(seen)))


def _envelope_if_known(row: Row[Any]) -> Envelope | None:
    """The envelope of a message that was believed when it was kept: it stands under its id."""
    if row.id is None:
        return None
    return Delivery.stored(row.exchange, row.routing_key, row.properties, row.body).envelope()
