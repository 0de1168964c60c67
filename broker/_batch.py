"""One batch of deliveries of a subscription, as one transaction; blame falls on nobody until an event stands alone."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from broker import _inbox as inbox
from broker._attempts import Attempts
from broker._blame import Blame, DatabaseOutOfReach, Nobody, blame_for
from broker._crash_points import CrashPoint, passing
from broker._database import CHECK, Database, LentSession
from broker._delivery import CAREFUL, Delivery
from broker._envelope import Envelope
from broker._invocation import Invocation
from broker._persons import Bodies
from broker._reading import Readable, Unreadable, read, without_erased
from broker._service import Service
from broker._subscriptions import Subscription
from broker.errors import Permanent

NARROW = 16
"""Events among which the guilty one is looked for with a savepoint each; a larger failing batch is halved first."""

SUSPICIONS = 3
"""How often in a batch the event in whose call something was raised is taken alone at once, before halves are looked through.

It may be innocent: a flush in its call fails for what a neighbour left pending. Alone it takes effect, and that one is found.
"""

TRIES = 5
"""How often an event that stands alone is tried at once when its failure is nobody's fault."""

REMEMBER, RESTORE = text("SAVEPOINT checked"), text("ROLLBACK TO SAVEPOINT checked")


class Processor(Protocol):
    """What a subscription's deliveries are given to."""

    async def process(self, deliveries: Sequence[Delivery]) -> None:
        """Gives each delivery its effect, or records why it has none; when it returns, they may all be acknowledged.

        May be called again with deliveries that it has seen. When it raises, nothing is acknowledged, and it is called
        again later: it does so when the database is out of reach.
        """


class Failures(Protocol):
    """Where messages that cannot be handled are kept: `broker._failures.Failures`, as far as a batch needs it."""

    async def known(self, session: AsyncSession, subscription: Subscription, ids: Collection[UUID]) -> set[UUID]:
        """Those of `ids` that took effect, or failed and are kept."""

    async def record(
        self,
        session: AsyncSession,
        subscription: Subscription,
        delivery: Delivery,
        envelope: Envelope | None,
        exception: Exception,
        *,
        attempts: int = 1,
    ) -> None:
        """Keeps a message that failed, and holds its key. Without an envelope nothing in it is believed or held."""

    async def hold(self, session: AsyncSession, subscription: Subscription, delivery: Delivery, envelope: Envelope) -> None:
        """Lays a message behind the failed one of its key."""


@dataclass(slots=True, kw_only=True)
class Effect:
    """What one transaction of a subscription did, for who measures it. `woken` are kept messages whose turn has come."""

    handled: tuple[Envelope, ...] = ()
    duplicates: int = 0
    held: int = 0
    failed: int = 0
    woken: int = 0


@dataclass(slots=True)
class Calls:
    """The place in its batch of the event whose handler is being called; None between calls."""

    under_way: int | None = None


Observer = Callable[[Subscription, Effect], None]


class BatchProcessor:
    """Runs a subscription's handler over batches: exactly one effect per event, per key in queue order.

    When `process` returns, every message is in the inbox or among the failed messages.
    """

    handled, committed = CrashPoint.BATCH_HANDLED, CrashPoint.BATCH_COMMITTED

    def __init__(
        self,
        database: Database,
        service: Service,
        subscription: Subscription,
        failures: Failures,
        *,
        observe: Observer | None = None,
    ) -> None:
        self.subscription = subscription
        self.invocation = Invocation(service, subscription)
        self._bodies = Bodies(service.known_events)
        self._database = database
        self._failures = failures
        self._observe = observe
        self._attempts = Attempts(database, subscription.name)

    async def process(self, deliveries: Sequence[Delivery]) -> None:
        """See Processor. Raises DatabaseOutOfReach."""
        for how, run in groupby(read(deliveries, self.invocation), key=self._how):
            await how(list(run))

    def _how(self, message: Readable | Unreadable) -> Callable[..., Awaitable[None]]:
        if isinstance(message, Unreadable):
            return self._refuse
        return self._take_care if message.delivery.delivery_count >= CAREFUL else self._take

    async def _refuse(self, messages: Sequence[Unreadable]) -> None:
        """Keeps messages that no handler can be given."""
        async for attempt in _patiently():
            with attempt:
                async with self._transaction(CrashPoint.FAILURE_KEPT) as session:
                    ids = [message.id for message in messages if message.id]
                    known = await self._failures.known(session, self.subscription, ids)
                    fresh = [message for message in messages if message.id not in known]
                    for message in fresh:
                        await self._record(session, message, message.reason)
        self._did(Effect(failed=len(fresh), duplicates=len(messages) - len(fresh)))

    async def _take_care(self, messages: Sequence[Readable]) -> None:
        """Handles each event alone, after writing down that it is about to; the third one to end the process is its last."""
        for message in messages:
            count = await self._attempts.begin(message.envelope.id)
            if count is None:
                self._did(Effect(duplicates=1))
                continue
            if count > Attempts.LIMIT:
                await self._give_up(
                    message, Permanent(f"the process ended {count - 1} times while it handled this alone"), count
                )
            else:
                await self._insist(message)
            await self._attempts.end(message.envelope.id)

    async def _take(self, messages: Sequence[Readable], suspicions: int = SUSPICIONS) -> None:
        """Handles events in one transaction, and in smaller ones when that fails."""
        if len(messages) == 1:
            await self._insist(messages[0])
            return
        calls = Calls()
        try:
            async with self._transaction(self.committed) as session:
                effect = await self._handle(session, messages, calls)
                await session.prove()
        except Nobody:
            await asyncio.sleep(random.uniform(0, 0.05))  # noqa: S311
            await self._halve(messages)
        except DatabaseOutOfReach:
            raise
        except Exception:
            if calls.under_way is not None and suspicions:
                await self._set_apart(messages, calls.under_way, suspicions - 1)
            else:
                await (self._halve if len(messages) > NARROW else self._find_guilty)(messages)
        else:
            self._did(effect)

    async def _set_apart(self, messages: Sequence[Readable], place: int, suspicions: int) -> None:
        if messages[:place]:
            await self._take(messages[:place], suspicions)
        await self._insist(messages[place])
        if messages[place + 1 :]:
            await self._take(messages[place + 1 :], suspicions)

    async def _halve(self, messages: Sequence[Readable]) -> None:
        middle = len(messages) // 2
        await self._take(messages[:middle], 0)
        await self._take(messages[middle:], 0)

    async def _find_guilty(self, messages: Sequence[Readable]) -> None:
        """Handles events with a savepoint each: what fails in it is its own fault. What fails at the commit stands alone."""
        try:
            async with self._transaction(self.committed) as session:
                effects = [await self._handle_or_blame(session, message) for message in messages]
        except DatabaseOutOfReach:
            raise
        except Exception:
            for message in messages:
                await self._insist(message)
        else:
            for effect in effects:
                self._did(effect)

    async def _handle_or_blame(self, session: LentSession, message: Readable) -> Effect:
        try:
            async with session.begin_nested():
                effect = await self._handle(session, [message], Calls())
                await session.flush()
                await _check(session)
                return effect
        except Exception as failure:
            if await blame_for(failure, self._database.engine) is not Blame.MESSAGE:
                raise
            await self._record(session, message, failure)
            return Effect(failed=1)

    async def _insist(self, message: Readable) -> None:
        """Handles one event in a transaction of its own, so that whatever fails in it is its fault."""
        try:
            async for attempt in _patiently():
                with attempt:
                    async with self._transaction(self.committed) as session:
                        effect = await self._handle(session, [message], Calls())
                        await session.prove()
        except DatabaseOutOfReach:
            raise
        except Nobody as nobody:
            await self._give_up(message, nobody.failure, TRIES)
        except Exception as failure:
            await self._give_up(message, failure, 1)
        else:
            self._did(effect)

    async def _give_up(self, message: Readable, failure: Exception, attempts: int) -> None:
        async for attempt in _patiently():
            with attempt:
                async with self._transaction(CrashPoint.FAILURE_KEPT) as session:
                    await self._record(session, message, failure, attempts)
        self._did(Effect(failed=1))

    async def _handle(self, session: LentSession, messages: Sequence[Readable], calls: Calls) -> Effect:
        """The core: what is new goes to the handler in queue order, what belongs behind a failed message is laid there."""
        messages = await without_erased(session, self._bodies, messages, self.invocation)
        subscription = self.subscription
        envelopes = [message.envelope for message in messages]
        taken = await inbox.take(session, subscription.name, envelopes, hold=subscription.on_failure == "hold")
        handled: list[Envelope] = []
        for place, message in enumerate(messages):
            if message.envelope.id in taken.held:
                await self._failures.hold(session, subscription, message.delivery, message.envelope)
            elif message.envelope.id in taken.free:
                calls.under_way = place
                await self.invocation.handle(session, message.envelope, message.event)
                calls.under_way = None
                handled.append(message.envelope)
        duplicates = len(messages) - len(handled) - len(taken.held)
        return Effect(handled=tuple(handled), held=len(taken.held), duplicates=duplicates)

    async def _record(
        self, session: AsyncSession, message: Readable | Unreadable, failure: Exception, attempts: int = 1
    ) -> None:
        await self._failures.record(session, self.subscription, message.delivery, message.envelope, failure, attempts=attempts)

    @contextlib.asynccontextmanager
    async def _transaction(self, committed: CrashPoint) -> AsyncIterator[LentSession]:
        """A session that commits at the end. Raises Nobody or DatabaseOutOfReach for what is not the messages' fault."""
        try:
            async with self._database.lent() as session:
                yield session
                passing(self.handled)
                await session.settle(committed)
        except Exception as failure:
            blame = await blame_for(failure, self._database.engine)
            if blame is Blame.MESSAGE:
                raise
            raise (Nobody if blame is Blame.NOBODY else DatabaseOutOfReach)(failure) from failure

    def _did(self, effect: Effect) -> None:
        if self._observe is not None:
            self._observe(self.subscription, effect)


def _patiently() -> AsyncRetrying:
    return AsyncRetrying(
        stop=stop_after_attempt(TRIES),
        wait=wait_random_exponential(multiplier=0.02, max=1),
        retry=retry_if_exception_type(Nobody),
        reraise=True,
    )


async def _check(session: LentSession) -> None:
    """Checks the deferred constraints and leaves them deferred: the next handler may count on that."""
    for statement in (REMEMBER, CHECK, RESTORE):
        await session.execute(statement)
