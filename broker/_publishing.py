"""Publishing: an event joins the transaction that caused it, and the outbox at its commit.

`publish` only buffers. Just before the session commits, one statement takes a transaction lock on each event's key, in
sorted order, then draws positions and inserts: row locks alone would not give order per key, since a position could be
drawn before the lock is won.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import event as sa_event
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, SessionTransaction

from broker._clock import clock
from broker._context import current_cause, uuid7
from broker._crash_points import CrashPoint, passing
from broker._erased import fit_to_publish
from broker._lookup import LookingUp
from broker.errors import EventTooLarge, ForeignEvent
from contracts.event import Event, StateEvent

MAX_BODY = 256 * 1024
"""Bytes of an event's body, at most. Larger data belongs in a store that the event refers to."""

MAX_ADDRESSED = 1024 * 1024
"""The same of an event that is for one queue alone: its publisher and its reader are the backbone's."""

PUBLISHER = "backbone.publisher"
BUFFER = "backbone.buffer"
ON_COMMIT = "backbone.on_commit"
WROTE = "backbone.wrote"
"""Set in `session.info` when its commit leaves work for a loop: somebody is told after it."""

# The arrays stand in subqueries so that the planner cannot look into them: it then sees that one plan serves for all, and keeps
# it, where it would plan this statement anew for every command: a third of its cost.
INSERT = text(
    """
    WITH writing AS MATERIALIZED (SELECT pg_current_xact_id() AS transaction),
         locked AS MATERIALIZED (
             SELECT count(pg_advisory_xact_lock(lock)) AS locks
             FROM (SELECT DISTINCT lock FROM unnest((SELECT CAST(:locks AS bigint[]))) lock ORDER BY lock) ordered, writing
         ),
         placed AS (
             SELECT nextval('backbone.outbox_position') AS position, event.*
             FROM locked, unnest(
                 (SELECT CAST(:ids AS uuid[])), (SELECT CAST(:types AS text[])), (SELECT CAST(:keys AS text[])),
                 (SELECT CAST(:versions AS int[])), (SELECT CAST(:sequences AS bigint[])), (SELECT CAST(:flows AS uuid[])),
                 (SELECT CAST(:causes AS uuid[])), (SELECT CAST(:traces AS text[])), (SELECT CAST(:times AS timestamptz[])),
                 (SELECT CAST(:bodies AS bytea[]))
             ) AS event (id, type, key, version, sequence, flow, cause, trace, occurred_at, body)
             WHERE locked.locks >= 0
         )
    INSERT INTO backbone.outbox (slot, position, id, type, key, version, sequence, flow, cause, trace, occurred_at, body)
    SELECT state.slot, placed.position, id, type, key, version, coalesce(sequence, placed.position),
           flow, cause, trace, occurred_at, body
    FROM placed, backbone.outbox_state state
    """
)


@dataclass(frozen=True, slots=True)
class Buffered:
    """An event on its way to the outbox, and the (sub)transaction that it stands or falls with."""

    event: Event
    id: UUID
    transaction: SessionTransaction | None
    flow: UUID
    cause: UUID | None
    trace: str | None

    def fell_with(self, ended: SessionTransaction) -> bool:
        """Whether `ended`, which was rolled back, is the transaction it was published in or one around that."""
        transaction = self.transaction
        while transaction is not None:
            if transaction is ended:
                return True
            transaction = transaction.parent
        return False


def publish(session: AsyncSession, event: Event) -> UUID:
    """Publishes `event` if and only if the transaction of `session` commits; gives the event's id.

    Nothing is sent or written here. A rolled back savepoint takes its events along.
    Raises ForeignEvent for another service's event, EventTooLarge for a body over 256 KiB.
    """
    return publish_in(session.sync_session, event)


def publish_in(session: Session, event: Event) -> UUID:
    """`publish` for code that runs inside SQLAlchemy's own hooks."""
    publisher = session.info.get(PUBLISHER)
    if publisher is not None and not event.contract.belongs_to(publisher):
        raise ForeignEvent(f"{publisher} cannot publish {event.contract.name}: it belongs to {event.contract.publisher}")
    cause = current_cause()
    buffered = Buffered(
        event, uuid7(), session.get_nested_transaction() or session.get_transaction(), cause.flow, cause.message, cause.trace
    )
    session.info.setdefault(BUFFER, []).append(buffered)
    return buffered.id


def lock_number(*parts: str) -> int:
    """A 64-bit number for PostgreSQL's advisory locks, the same in every process."""
    digest = hashlib.blake2b("\0".join(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def body_of(event: Event) -> bytes:
    """The event's data as JSON. Raises EventTooLarge."""
    body = event.model_dump_json().encode()
    limit = MAX_ADDRESSED if event.contract.is_addressed else MAX_BODY
    if len(body) > limit:
        raise EventTooLarge(f"{event.contract.name} has {len(body)} bytes, the limit is {limit}: publish a reference")
    return body


def _one_state_each(buffer: list[Buffered]) -> list[Buffered]:
    """Without the states of an aggregate that a later one of the same transaction replaces."""
    newest: dict[tuple[str, str], int] = {}
    for event in (buffered.event for buffered in buffer):
        if isinstance(event, StateEvent):
            aggregate = (event.contract.name, event.subject)
            newest[aggregate] = max(newest.get(aggregate, 0), event.state_version)
    return [
        buffered
        for buffered in buffer
        if not isinstance(buffered.event, StateEvent)
        or newest[buffered.event.contract.name, buffered.event.subject] == buffered.event.state_version
    ]


def states_written(session: Session) -> list[StateEvent]:
    """The states that leave with the commit of a flushed session, in the order of their positions."""
    buffer = _one_state_each(session.info.get(BUFFER, []))
    return [buffered.event for buffered in buffer if isinstance(buffered.event, StateEvent)]


def write_buffer(session: Session) -> None:
    """Writes what was published so far to the outbox, inside the transaction. Runs by itself before a commit."""
    buffer = _one_state_each(session.info.pop(BUFFER, []))
    if not buffer:
        return
    events = [buffered.event for buffered in buffer]
    rows = list(zip(buffer, fit_to_publish(session, events, [body_of(event) for event in events]), strict=True))
    session.execute(
        INSERT,
        {
            "locks": [lock_number("outbox", buffered.event.subject) for buffered, _ in rows],
            "ids": [buffered.id for buffered, _ in rows],
            "types": [buffered.event.contract.name for buffered, _ in rows],
            "keys": [buffered.event.subject for buffered, _ in rows],
            "versions": [buffered.event.contract.version for buffered, _ in rows],
            "sequences": [
                buffered.event.state_version if isinstance(buffered.event, StateEvent) else None for buffered, _ in rows
            ],
            "flows": [buffered.flow for buffered, _ in rows],
            "causes": [buffered.cause for buffered, _ in rows],
            "traces": [buffered.trace for buffered, _ in rows],
            "times": [clock.now() for _ in rows],
            "bodies": [body for _, body in rows],
        },
    )
    session.info[WROTE] = True


class PublishingSession(LookingUp):
    """A session whose commit writes what was published in it to the outbox.

    `info` may hold, under PUBLISHER, the only service whose events it takes, and under ON_COMMIT what to call when events
    got out.
    """


@sa_event.listens_for(PublishingSession, "before_commit")
def _before_commit(session: Session) -> None:
    if not session.in_nested_transaction():
        session.flush()
        write_buffer(session)


@sa_event.listens_for(PublishingSession, "after_commit")
def _after_commit(session: Session) -> None:
    if session.info.pop(WROTE, False) and (on_commit := session.info.get(ON_COMMIT)):
        passing(CrashPoint.EVENTS_COMMITTED)
        on_commit()


@sa_event.listens_for(PublishingSession, "after_soft_rollback")
def _after_soft_rollback(session: Session, ended: SessionTransaction) -> None:
    buffer = session.info.pop(BUFFER, [])
    # A flush works in a subtransaction: when it fails, all is undone up to the savepoint around it, of which nothing is told.
    while ended.parent is not None and not ended.nested:
        ended = ended.parent
    if ended.parent is not None:
        session.info[BUFFER] = [buffered for buffered in buffer if not buffered.fell_with(ended)]
