"""The keeper of failed messages: one table for all that are tried again, wait, lie behind another, or are dead.

Every change to the messages of one subscription and key happens under the lock of their `held_key` row: consumer, retry,
replay and discard all take it first. Locks are taken in this order: held keys (sorted), then a replica's advisory lock, then
rows of failed messages. Where many are replayed at once their rows come before the advisory lock: should that ever be a
deadlock, PostgreSQL breaks it, and they are tried one by one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

import structlog
from sqlalchemy import ARRAY, Boolean, Row, Table, Text, any_, cast, column, exists, func, literal, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from broker._clock import clock
from broker._delivery import Delivery
from broker._envelope import Envelope
from broker._erased import fit_to_keep
from broker._evidence import HELD, Evidence
from broker._failed_row import clean, row_of
from broker._persons import Bodies
from broker._publishing import lock_number
from broker._subscriptions import Subscription
from broker._tables import attempt, failed_message, inbox
from broker._verdicts import Verdict, classify
from broker.errors import Later, Newer, NotYet

if TYPE_CHECKING:
    from broker._service import Service

log = structlog.get_logger("nilecare.backbone")

BEHIND = Verdict("held", Evidence(HELD, "lies behind an earlier failed message of its key", "", HELD))

LOCK = text(
    """
    INSERT INTO backbone.held_key (subscription, key)
    SELECT :subscription, key FROM unnest(CAST(:keys AS text[])) AS key ORDER BY key
    ON CONFLICT (subscription, key) DO UPDATE SET key = excluded.key WHERE false
    """
)
"""A row that is there is locked by this, and not written: what `WHERE` refuses is locked all the same."""

CLOSE = text(
    """
    WITH gone AS (DELETE FROM backbone.failed_message WHERE position = ANY(CAST(:positions AS bigint[]))),
         survived AS (DELETE FROM backbone.attempt WHERE subscription = :subscription AND id = ANY(CAST(:ids AS uuid[])))
    INSERT INTO backbone.inbox (id, subscription, key, flow)
    SELECT id, :subscription, key, flow
    FROM unnest(CAST(:ids AS uuid[]), CAST(:keys AS text[]), CAST(:flows AS uuid[])) WITH ORDINALITY
         AS message (id, key, flow, place)
    WHERE id IS NOT NULL ORDER BY place ON CONFLICT DO NOTHING
    """
)

TAKE_OUT = text(
    """
    WITH gone AS (
             DELETE FROM backbone.failed_message failed
             WHERE subscription = :subscription AND position = ANY(CAST(:positions AS bigint[])) AND id IS NOT NULL
                   AND NOT (CAST(:hold AS boolean) AND EXISTS (
                       SELECT FROM backbone.failed_message earlier
                       WHERE earlier.subscription = failed.subscription AND earlier.key = failed.key
                             AND earlier.position < failed.position
                             AND earlier.position <> ALL(CAST(:positions AS bigint[]))
                   ))
             RETURNING *
         ),
         survived AS (
             DELETE FROM backbone.attempt USING gone WHERE attempt.subscription = gone.subscription AND attempt.id = gone.id
         ),
         entered AS (
             INSERT INTO backbone.inbox (id, subscription, key, flow)
             SELECT id, subscription, key, flow FROM gone ORDER BY position ON CONFLICT DO NOTHING RETURNING id
         )
    SELECT position, exchange, routing_key, properties, body, id IN (SELECT id FROM entered) AS is_new
    FROM gone ORDER BY position
    """
).columns(
    *(failed_message.c[name] for name in ("position", "exchange", "routing_key", "properties", "body")),
    column("is_new", Boolean),
)

RELEASE = """
    DELETE FROM backbone.held_key held
    WHERE subscription = :subscription AND key = ANY(CAST(:keys AS text[])) AND NOT EXISTS (
        SELECT FROM backbone.failed_message WHERE subscription = held.subscription AND key = held.key
    )
"""

PASS_ON = text(
    f"""
    WITH promoted AS (
             UPDATE backbone.failed_message SET state = 'retrying', due_at = :now
             WHERE state = 'held' AND position IN (
                 SELECT min(position) FROM backbone.failed_message
                 WHERE subscription = :subscription AND key = ANY(CAST(:keys AS text[])) GROUP BY key
             )
             RETURNING key
         ),
         released AS ({RELEASE})
    SELECT key FROM promoted ORDER BY key
    """  # noqa: S608 (put together from constants)
)


class Kept(Protocol):
    """A failed message, as far as it is needed to end it."""

    @property
    def position(self) -> int: ...
    @property
    def id(self) -> UUID | None: ...
    @property
    def key(self) -> str: ...
    @property
    def flow(self) -> UUID | None: ...


class Failures:
    """Where one service's messages are kept that a subscription could not handle (yet)."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._bodies = Bodies(service.known_events)

    async def known(self, session: AsyncSession, subscription: Subscription, ids: Collection[UUID]) -> set[UUID]:
        """Those of `ids` that took effect, or failed and are kept."""
        names = [subscription.name, *subscription.formerly]
        done = select(inbox.c.id).where(inbox.c.subscription.in_(names), inbox.c.id.in_(ids))
        kept = select(failed_message.c.id).where(failed_message.c.subscription.in_(names), failed_message.c.id.in_(ids))
        return {id_ for id_ in (await session.scalars(done.union(kept))).all() if id_ is not None}

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
        key = clean(envelope.subject) if envelope else ""
        await lock_keys(session, subscription.name, [key])
        if envelope is not None:
            await forget_attempts(session, subscription.name, envelope.id)
        verdict = await self.verdict(session, subscription, envelope, exception, attempts)
        await self.keep(session, subscription.name, delivery, envelope, verdict, attempts=attempts)
        self.tell(subscription.name, envelope, verdict, attempts)

    async def hold(self, session: AsyncSession, subscription: Subscription, delivery: Delivery, envelope: Envelope) -> None:
        """Lays a message behind the failed one of its key."""
        await lock_keys(session, subscription.name, [clean(envelope.subject)])
        await self.keep(session, subscription.name, delivery, envelope, BEHIND, attempts=0)

    async def verdict(
        self,
        session: AsyncSession,
        subscription: Subscription,
        envelope: Envelope | None,
        exception: Exception,
        attempts: int,
    ) -> Verdict:
        """The verdict on a message, once it is sure that what it waits for has not come meanwhile."""
        if isinstance(exception, Newer) and envelope is not None and _is_read_by(subscription, envelope):
            exception = Later(str(exception))  # this very code would be its own awakener, again and again
        verdict = classify(exception, attempts, subscription.handler)
        if isinstance(exception, NotYet) and await _has_arrived(session, exception):
            again = classify(Later(str(exception)), attempts)
            return Verdict("retrying", verdict.evidence, clock.now() if attempts == 1 else again.due_at)
        return verdict

    async def keep(
        self,
        session: AsyncSession,
        subscription: str,
        delivery: Delivery,
        envelope: Envelope | None,
        verdict: Verdict,
        *,
        attempts: int,
    ) -> None:
        """Writes the row, unless this very message has one. The caller has locked the key."""
        row = row_of(subscription, delivery, envelope, verdict, attempts)
        row["body"], row["persons"] = await self.fit_to_keep(session, row["type"], row["version"], row["body"])
        if envelope is None and await is_kept_nameless(session, row):
            return
        await session.execute(upsert(failed_message).values(row).on_conflict_do_nothing())

    async def fit_to_keep(
        self, session: AsyncSession, type_: str, version: int, body: bytes
    ) -> tuple[bytes, list[UUID] | None]:
        """A body as it may be kept, and the persons under whom it is found."""
        return await fit_to_keep(session, self._bodies, type_, version, body)

    async def again(
        self, session: AsyncSession, subscription: Subscription, position: int, envelope: Envelope | None, exception: Exception
    ) -> Verdict | None:
        """Writes down that a kept message failed once more; None when it is gone. The caller has locked the key."""
        here = failed_message.c.position == position
        # Locked before its attempts are, as whoever takes it up does.
        kept = select(failed_message.c.attempts, failed_message.c.id).where(here).with_for_update()
        row = (await session.execute(kept)).one_or_none()
        if row is None:
            return None
        attempts = row.attempts + 1
        await forget_attempts(session, subscription.name, row.id)
        verdict = await self.verdict(session, subscription, envelope, exception, attempts)
        await session.execute(
            update(failed_message)
            .where(here)
            .values(
                state=verdict.state,
                **asdict(verdict.evidence),
                attempts=attempts,
                due_at=verdict.due_at,
                waits_for=verdict.waits_for,
                waits_key=verdict.waits_key,
                last_failed_at=clock.now(),
            )
        )
        self.tell(subscription.name, envelope, verdict, attempts)
        return verdict

    def tell(self, subscription: str, envelope: Envelope | None, verdict: Verdict, attempts: int) -> None:
        """Logs a failure: a dead letter as an error, for somebody must look; anything else heals by itself."""
        say = log.error if verdict.state == "dead" else log.warning
        say(
            f"message.{verdict.state}",
            service=self.service.name,
            subscription=subscription,
            message=str(envelope.id) if envelope else None,
            type=envelope.type if envelope else None,
            flow=str(envelope.flow) if envelope else None,
            error=verdict.error,
            reason=verdict.reason,
            fingerprint=verdict.evidence.fingerprint,
            attempts=attempts,
        )


async def lock_keys(session: AsyncSession, subscription: str, keys: Collection[str]) -> None:
    """Locks the keys' rows, in order, until the end of the transaction, and makes them first where there are none."""
    await session.execute(LOCK, {"subscription": subscription, "keys": sorted(set(keys))})


async def forget_attempts(session: AsyncSession, subscription: str, id_: UUID | None) -> None:
    """Takes back what counts the attempts that a message may not have let the process survive: this one it did."""
    await session.execute(attempt.delete().where(attempt.c.subscription == subscription, attempt.c.id == id_))


async def close(session: AsyncSession, subscription: str, kept: Sequence[Kept]) -> None:
    """Takes messages out: into the inbox, so that they never have an effect again, and their successors' turn has come.

    The caller has locked their keys.
    """
    messages = {
        "positions": [each.position for each in kept],
        "ids": [each.id for each in kept],
        "keys": [each.key for each in kept],
        "flows": [each.flow for each in kept],
    }
    await session.execute(CLOSE, {"subscription": subscription, **messages})
    await pass_on(session, subscription, {each.key for each in kept})


async def take_out(session: AsyncSession, subscription: Subscription, positions: Sequence[int]) -> Sequence[Row[Any]]:
    """Takes messages out, into the inbox, before their handler is called: those that lie behind none but these, in their order.

    A row says what is needed to handle the message, and whether the inbox did not know it (`is_new`). Those without an id are
    left: nothing in them is believed. The caller has locked their keys, and passes these on when the messages took effect.
    """
    asked = {"subscription": subscription.name, "positions": positions, "hold": subscription.on_failure == "hold"}
    return (await session.execute(TAKE_OUT, asked)).all()


async def pass_on(session: AsyncSession, subscription: str, keys: Collection[str]) -> Sequence[str]:
    """Makes due what stands first of these keys, and lets those go of which nothing is open any more.

    Gives the keys of which something became due. The caller has locked them.
    """
    asked = {"subscription": subscription, "keys": sorted(keys), "now": clock.now()}
    return (await session.scalars(PASS_ON, asked)).all()


async def release(session: AsyncSession, subscription: str, keys: Collection[str]) -> None:
    """Lets the keys go of which nothing is open any more. The caller has locked them."""
    await session.execute(text(RELEASE), {"subscription": subscription, "keys": list(keys)})


async def wake_waiting(session: AsyncSession, replica: str, keys: Iterable[str]) -> int:
    """Makes due what waits for these keys of a replica (its table's name); says how many.

    The caller has locked the replica's advisory lock, shared, before it wrote the rows: whoever records a wait takes it
    exclusively and looks at the replica again, so that no wake-up is lost.
    """
    woken = await session.execute(
        update(failed_message)
        .where(
            failed_message.c.state == "waiting",
            failed_message.c.waits_for == replica,
            failed_message.c.waits_key == any_(literal(list(keys), ARRAY(Text()))),
        )
        .values(state="retrying", due_at=clock.now(), waits_for=None, waits_key=None)
        .returning(failed_message.c.position)
    )
    return len(woken.all())


async def _has_arrived(session: AsyncSession, waits: NotYet) -> bool:
    """Whether the replica has the row after all, and until our commit no writer of the replica can add it unseen."""
    number = lock_number("replica", waits.replica.__tablename__)
    await session.execute(select(func.pg_advisory_xact_lock(number)))
    table: Table = waits.replica.__table__
    mine = table.c.id == cast(literal(waits.key, Text()), table.c.id.type)
    found = select(exists().where(mine, table.c.state_version >= waits.version))
    return bool(await session.scalar(found))


async def is_kept_nameless(session: AsyncSession, row: dict[str, Any]) -> bool:
    """Whether a message without a usable id is kept already: a redelivery is the same in all that was sent.

    Such a message has nothing else to be known by, and must not multiply when the broker delivers it again.
    """
    same = ("subscription", "key", "exchange", "routing_key", "body", "properties")
    kept = exists().where(failed_message.c.id.is_(None), *(failed_message.c[name] == row[name] for name in same))
    return bool(await session.scalar(select(kept)))


def _is_read_by(subscription: Subscription, envelope: Envelope) -> bool:
    event = subscription.contract(envelope.type)
    return event is not None and envelope.version <= event.contract.version
