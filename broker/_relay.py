"""The relay: moves events from the outbox to RabbitMQ, in order per key, and forgets them once the broker has them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Mapping
from typing import Any, Protocol

import asyncpg
import structlog

from broker._confirms import Batch, InDoubt, PublishingConnection
from broker._crash_points import CrashPoint, passing
from broker._journal import Bindings, Bound, bound_throughout
from broker._loop import Loop
from broker._outbox import Outbox, Waiting
from broker._publishing import lock_number
from broker._settings import Settings
from broker.errors import BackboneError

log = structlog.get_logger("nilecare.relay")

CHANNEL = "backbone_outbox"
"""PostgreSQL notification channel on which other processes wake the relay."""

KEEP_ALIVE = {"tcp_keepalives_idle": "5", "tcp_keepalives_interval": "2", "tcp_keepalives_count": "3"}
"""The lock of a relay whose host died is free again after about 11 seconds."""

PLANS = {
    **dict.fromkeys(("enable_seqscan", "enable_bitmapscan", "enable_sort", "jit"), "off"),
    "max_parallel_workers_per_gather": "0",
    "plan_cache_mode": "force_generic_plan",
}
"""Rows are read along the index, and that is decided once. The statistics of a table that fills and empties all the time are
wrong: with a million rows waiting the planner read and sorted all of them, in parallel, for the oldest five hundred."""


class PoolerInTheWay(BackboneError):
    """The relay's lock needs a connection of its own to PostgreSQL, and a pooler moves it between backends."""


class RelayMetrics(Protocol):
    """What the relay tells of its work."""

    def relayed(self, count: int, seconds: float) -> None:
        """`count` events were confirmed `seconds` after they were sent."""

    def returned(self, type_: str) -> None:
        """An event reached no queue although somebody subscribes to its type."""


class Relay(Loop):
    """Sends what is in the outbox of one service. One is active per database; others stand by; two at once are harmless.

    Rows always go out from the oldest that is not yet deleted. When anything is in doubt (a lost connection, a nack), the
    connection is thrown away and all that was on its way goes out again, on a new one: subscribers drop what they have seen.
    """

    hold_seconds = 5.0
    """How long the rows of a key stay back after one of them reached no queue."""

    confirm_seconds = 60.0
    """How long the broker may take to confirm; after that all on its way is in doubt."""

    tidy_every = 0.25
    """Seconds between two raises of the low-water position."""

    def __init__(
        self,
        service: str,
        settings: Settings,
        *,
        subscribed: Mapping[str, frozenset[str]],
        metrics: RelayMetrics | None = None,
        rotate_after: int = 20_000,
    ) -> None:
        super().__init__(f"{service}.relay", interval=0.5)
        self._service = service
        self._settings = settings
        self._mandatory = frozenset(type_ for type_, queues in subscribed.items() if queues)
        self._metrics = metrics
        self._rotate_after = rotate_after
        self._stack = contextlib.AsyncExitStack()
        self._outbox: Outbox | None = None
        self._reader: asyncpg.Connection | None = None
        self._backend: int | None = None
        self._publishing: PublishingConnection | None = None
        self._bindings: Bindings | None = None
        self._before: Bound = {}
        self._batches: dict[Batch, tuple[list[Waiting], float, Bound]] = {}
        self._held: dict[str, float] = {}
        self._tidied = 0.0
        self._may_wait = True
        self._in_doubt = False

    @property
    def is_active(self) -> bool:
        """Whether this relay has the lock of its database."""
        return self._outbox is not None

    def wake(self) -> None:
        """See Loop. Until then, while something is on its way, the outbox is not looked at again for nothing."""
        self._may_wait = True
        super().wake()

    async def run_once(self) -> bool:
        """Sends one batch and clears what was confirmed; True while there is more."""
        try:
            if not await self._lead():
                return False
            publishing = await self._connected()
            await publishing.ready()
            has_room = len(self._batches) < self._settings.relay_window
            sent = has_room and (self._may_wait or not self._batches) and await self._send(publishing)
            if self._batches and not sent:
                await self._confirmation(or_woken=has_room)
            await self._clear()
            await self._tidy()
        except (InDoubt, TimeoutError, OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError) as failure:
            self._say_in_doubt(failure)
            await self._start_over()
            return False
        except BaseException:
            await self._start_over()
            raise
        self._in_doubt = False
        return bool(sent or self._batches or self._may_wait)

    async def close(self) -> None:
        """Clears what the broker confirms within five seconds, and gives the lock back."""
        try:
            async with asyncio.timeout(5):
                while self._batches:
                    await self._confirmation(or_woken=False)
                    await self._clear()
                if self._outbox is not None:
                    await self._outbox.save()
        except Exception as failure:
            log.info("relay.left_rows", service=self._service, error=type(failure).__name__, rows=len(self._positions()))
        await self._start_over()

    async def _lead(self) -> bool:
        """Whether this relay is the active one; tries to become it."""
        if self._outbox is not None:
            return True
        try:
            reader = await self._connect()
            if not await self._lock(reader):
                await self._start_over()
                return False
            backends = {await reader.fetchval("SELECT pg_backend_pid()") for _ in range(3)}
            if len(backends) > 1:
                raise PoolerInTheWay(PoolerInTheWay.__doc__)
            (self._backend,) = backends
            await reader.add_listener(CHANNEL, lambda *_: self.wake())
            outbox = Outbox(self._service, reader, await self._connect(), rotate_after=self._rotate_after)
            await outbox.load()
        except BaseException:
            await self._start_over()
            raise
        self._reader, self._outbox = reader, outbox
        return True

    async def _lock(self, reader: asyncpg.Connection) -> bool:
        return bool(await reader.fetchval("SELECT pg_try_advisory_lock($1)", lock_number("relay")))

    async def _connect(self) -> asyncpg.Connection:
        connection = await asyncpg.connect(self._settings.database_url, server_settings=KEEP_ALIVE | PLANS, timeout=10)
        self._stack.push_async_callback(_close, connection)
        await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
        return connection

    async def _connected(self) -> PublishingConnection:
        if self._publishing is None or not self._publishing.is_open:
            if self._publishing is not None:
                raise InDoubt
            self._publishing = await PublishingConnection.open(self._settings.amqp_url, name=self.name)
            self._stack.push_async_callback(self._publishing.close)
            if self._settings.journal and self._settings.management_url:
                self._bindings = Bindings(self._settings.management_url, self._settings.amqp_url, self._service)
                self._stack.push_async_callback(self._bindings.close)
                self._before = await self._bindings.read()
        return self._publishing

    async def _send(self, publishing: PublishingConnection) -> bool:
        now = time.monotonic()
        self._held = {key: until for key, until in self._held.items() if until > now}
        assert self._outbox is not None
        limit, self._may_wait = self._settings.relay_batch, False
        rows = await self._outbox.oldest(limit, without=self._positions(), held=self._held)
        self._may_wait = self._may_wait or len(rows) == limit
        if not rows:
            return False
        batch = await publishing.channel.send([row.envelope for row in rows], user=publishing.user, mandatory=self._mandatory)
        passing(CrashPoint.EVENTS_SENT)
        self._batches[batch] = (rows, now, self._before)
        return True

    async def _confirmation(self, *, or_woken: bool) -> None:
        """Waits until the oldest batch on its way is confirmed, or new rows are announced."""
        oldest = next(iter(self._batches))
        awaited: list[asyncio.Future[Any]] = [oldest.confirmed]
        woken = asyncio.ensure_future(self._woken.wait())
        if or_woken:
            awaited.append(woken)
        try:
            done, _ = await asyncio.wait(awaited, timeout=self.confirm_seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()
        if not done:
            raise InDoubt

    async def _clear(self) -> None:
        """Deletes the rows of batches that are confirmed."""
        done = [batch for batch in self._batches if batch.confirmed.done()]
        if not done:
            return
        positions: list[int] = []
        bound = self._before
        for batch in done:
            batch.confirmed.result()
            rows, sent_at, before = self._batches[batch]
            positions += [row.position for row in rows if str(row.envelope.id) not in batch.returned]
            bound = bound_throughout(bound, before)
            self._report(batch, rows, sent_at)
        passing(CrashPoint.EVENTS_CONFIRMED)
        await self._forget(positions, bound)
        for batch in done:
            del self._batches[batch]

    async def _forget(self, positions: list[int], bound: Bound) -> None:
        """Deletes rows. `bound` are the bindings that held from before they were sent until now."""
        assert self._outbox is not None
        if not self._settings.journal:
            await self._outbox.delete(positions)
            return
        after = await self._bindings.read() if self._bindings else {}
        await self._outbox.journal(positions, bound_throughout(bound, after))
        self._before = after

    def _report(self, batch: Batch, rows: list[Waiting], sent_at: float) -> None:
        if self._metrics is not None:
            self._metrics.relayed(len(rows) - len(batch.returned), time.monotonic() - sent_at)
        for row in rows:
            if str(row.envelope.id) in batch.returned:
                self._held[row.envelope.subject] = time.monotonic() + self.hold_seconds
                log.error("relay.returned", service=self._service, type=row.envelope.type, event_id=str(row.envelope.id))
                if self._metrics is not None:
                    self._metrics.returned(row.envelope.type)

    async def _tidy(self) -> None:
        assert self._outbox is not None
        if self._outbox.is_tidy or time.monotonic() - self._tidied < self.tidy_every:
            return
        assert self._reader is not None
        if await self._reader.fetchval("SELECT pg_backend_pid()") != self._backend:
            raise PoolerInTheWay(PoolerInTheWay.__doc__)
        await self._outbox.tidy()
        self._tidied = time.monotonic()

    def _positions(self) -> list[int]:
        return [row.position for rows, *_ in self._batches.values() for row in rows]

    def _say_in_doubt(self, failure: BaseException) -> None:
        """Once per disturbance, not at every try."""
        if not self._in_doubt:
            log.warning("relay.in_doubt", service=self._service, error=type(failure).__name__, rows=len(self._positions()))
        self._in_doubt = True

    async def _start_over(self) -> None:
        """Throws every connection away, and with them the lock and all that is on its way."""
        self._batches.clear()
        self._outbox = self._reader = self._publishing = self._bindings = None
        stack, self._stack = self._stack, contextlib.AsyncExitStack()
        await stack.aclose()


async def _close(connection: asyncpg.Connection) -> None:
    try:
        await connection.close(timeout=2)
    except Exception:
        connection.terminate()
