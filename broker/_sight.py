"""What is known of a flow: from one snapshot of each database, all that followed from a command, and what is still open.

Why nothing slips through between databases that are read one after the other: an event's handling commits its outcome together
with every event, call and planned event that it caused. So whoever sees the outcome sees its children in the same snapshot, and
whoever does not see it knows that it is owed. Once nothing is owed, all that followed has been seen. Only the databases in
which something was open have to be read again; and once nothing was open anywhere, only what transactions sent that had not
ended by then.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import TextClause, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from broker._clock import clock

FAILURE = """
    jsonb_build_object(
        'type', type, 'error', error, 'reason', reason, 'attempts', attempts, 'fingerprint', fingerprint, 'stack', stack,
        'waits_for', waits_for, 'waits_key', waits_key
    )
"""
SNAPSHOT = """
    SELECT 'said' AS what, id, position, type AS name, key, cause, occurred_at AS at, NULL::timestamptz AS then,
           NULL::text[] AS queues, NULL AS state, NULL::jsonb AS more
    FROM backbone.outbox WHERE {flow}
    UNION ALL
    SELECT 'said', id, position, type, key, cause, occurred_at, relayed_at, subscriptions, NULL, NULL
    FROM backbone.published WHERE {published}
    UNION ALL
    SELECT 'handled', id, position, subscription, key, NULL, handled_at, NULL, NULL, NULL, NULL
    FROM backbone.inbox WHERE id = ANY (CAST(:ids AS uuid[]))
    UNION ALL
    SELECT 'failed', id, position, subscription, key, cause, last_failed_at, due_at, NULL, state, {failure}
    FROM backbone.failed_message WHERE {flow} OR id = ANY (CAST(:ids AS uuid[]))
    UNION ALL
    SELECT 'planned', NULL, 0, type, key, cause, NULL, due_at, NULL, name, NULL
    FROM backbone.schedule WHERE {flow}
    UNION ALL
    SELECT 'called', id, position, name, key, cause, created_at, nullif(due_at, 'infinity'), NULL, state,
           jsonb_build_object('error', error, 'left', due_at = 'infinity')
    FROM backbone.call WHERE {flow}
"""
BUSY = """
    UNION ALL
    SELECT 'busy', NULL, count(*), 'being carried out', NULL, NULL, NULL, NULL, NULL, NULL, NULL
    FROM backbone.action WHERE state = 'running'
    UNION ALL
    SELECT 'busy', NULL, count(*), 'to be answered', NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM backbone.operation
    UNION ALL
    SELECT 'busy', NULL, count(*), 'to be reported', NULL, NULL, NULL, NULL, NULL, NULL, NULL
    FROM backbone.change WHERE (SELECT is_whole FROM backbone.reporting)
"""
READ = """
    UNION ALL
    SELECT 'read', NULL, mod(CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint), 4294967296), NULL,
           NULL, NULL, NULL, NULL, NULL, NULL, NULL
"""
"""The oldest transaction that had not ended: its id as rows have it, modulo 2 ** 32."""
SINCE = """
    CAST(:since AS bigint) IS NULL OR mod(CAST(CAST(xmin AS text) AS bigint) - :since + 4294967296, 4294967296) < 2147483648
"""
"""Whether a row was written by that transaction or a later one: ids are compared around the circle, as PostgreSQL does."""
FIRST = """
    SELECT id, position, subscription AS name, key, state, due_at AS then, {failure} AS more
    FROM backbone.failed_message WHERE subscription = :subscription AND key = :key ORDER BY position LIMIT 1
"""
FIRST_OF_KEY = text(FIRST.format(failure=FAILURE))
ONE_FLOW, ALL_FLOWS = (
    text(SNAPSHOT.format(flow="flow = :flow", published="flow = :flow", failure=FAILURE)),
    text(SNAPSHOT.format(flow="true", published=SINCE, failure=FAILURE) + BUSY + READ),
)

OPEN_CALLS = frozenset({"pending", "sending", "unknown", "received"})


@dataclass(frozen=True, slots=True)
class Said:
    """An event that a service published. sent: when the broker had it; None while it is in the outbox.

    queues: those that were bound to it when it was sent, of services that are looked at.
    """

    id: UUID
    service: str
    position: int
    type: str
    key: str
    cause: UUID | None
    at: datetime
    sent: datetime | None
    queues: tuple[str, ...]

    @property
    def wall_time(self) -> datetime:
        """When it was published, by the wall clock: its id, a UUIDv7, says so."""
        return datetime.fromtimestamp((self.id.int >> 80) / 1000, UTC)


@dataclass(frozen=True, slots=True)
class Handled:
    """That an event took effect in a queue's subscription. order: of effects in this database."""

    id: UUID
    queue: str
    at: datetime
    order: int


@dataclass(frozen=True, slots=True)
class Failed:
    """A message that a subscription could not handle (yet). due_at: when it is tried again, by the business clock."""

    id: UUID | None
    queue: str
    key: str
    state: str
    type: str
    error: str
    reason: str
    attempts: int
    fingerprint: str
    stack: str
    waits_for: str | None
    waits_key: str | None
    due_at: datetime | None
    position: int

    @property
    def service(self) -> str:
        """Whose subscription it is."""
        return self.queue.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Planned:
    """An event that will be published when it is due. name: unique in its service."""

    service: str
    name: str
    type: str
    key: str
    cause: UUID | None
    due_at: datetime

    @property
    def is_due(self) -> bool:
        """Whether it is under way."""
        return self.due_at <= clock.now()


@dataclass(frozen=True, slots=True)
class Called:
    """A call to the world outside. is_left: unknown, and left to a person."""

    id: UUID
    service: str
    name: str
    key: str
    state: str
    cause: UUID | None
    error: str | None
    is_left: bool

    @property
    def is_open(self) -> bool:
        """Whether somebody is still to do something for it, by itself."""
        return self.state in OPEN_CALLS and not self.is_left


@dataclass(frozen=True, slots=True)
class Owed:
    """An event that a queue was bound to, with neither an effect nor a failure kept."""

    event: Said
    queue: str


@dataclass(slots=True)
class Snapshot:
    """What one database said of the flow at one moment."""

    said: list[Said] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)
    planned: list[Planned] = field(default_factory=list)
    called: list[Called] = field(default_factory=list)
    busy: Counter[str] = field(default_factory=Counter)

    @property
    def moves(self) -> bool:
        """Whether something goes on in this database by itself."""
        return bool(
            any(event.sent is None for event in self.said)
            or self.failed
            or any(planned.is_due for planned in self.planned)
            or any(call.is_open for call in self.called)
            or self.busy
        )


class Sight:
    """All that is known of one flow, or of all of them when None is given. `look` again to know more.

    engines: of each service's database. renamed: the names that queues have today, by their former ones. since: by service,
    how far another look at all flows had `read` when nothing was open; what was over then is left out.
    """

    def __init__(
        self,
        engines: Mapping[str, AsyncEngine],
        flow: UUID | None,
        renamed: Mapping[str, str],
        since: Mapping[str, int] | None = None,
    ) -> None:
        self.flow = flow
        self.read: dict[str, int] = {}
        self._since = since or {}
        self._engines = engines
        self._renamed = renamed
        self._snapshots: dict[str, Snapshot] = {}
        self._handled: dict[tuple[UUID, str], Handled] = {}

    @property
    def said(self) -> list[Said]:
        """The events, in the order in which they were made."""
        return sorted((event for each in self._snapshots.values() for event in each.said), key=lambda event: event.id)

    @property
    def handled(self) -> list[Handled]:
        """What took effect."""
        return list(self._handled.values())

    @property
    def failed(self) -> list[Failed]:
        """What could not be handled (yet)."""
        return [failed for each in self._snapshots.values() for failed in each.failed]

    @property
    def planned(self) -> list[Planned]:
        """What waits for its time."""
        return [planned for each in self._snapshots.values() for planned in each.planned]

    @property
    def called(self) -> list[Called]:
        """What was asked of the world outside."""
        return [call for each in self._snapshots.values() for call in each.called]

    @property
    def owed(self) -> list[Owed]:
        """What was sent and is neither handled nor kept as failed."""
        ended = {*self._handled, *((failed.id, failed.queue) for failed in self.failed)}
        sent = (event for each in self._snapshots.values() for event in each.said)
        return [Owed(event, queue) for event in sent for queue in event.queues if (event.id, queue) not in ended]

    def open(self) -> Counter[str]:
        """What goes on by itself, counted; empty when the flow is over."""
        counted = Counter(
            {
                "in the outbox": sum(event.sent is None for event in self.said),
                "due": sum(planned.is_due for planned in self.planned),
                "called outside": sum(call.is_open for call in self.called),
                "being retried": sum(failed.state == "retrying" for failed in self.failed),
                "on their way to a subscription": len(self.owed),
            }
        )
        return +sum((each.busy for each in self._snapshots.values()), counted)

    def examples(self, at_most: int = 5) -> list[str]:
        """A few of the events and calls that are under way, by their names."""
        unsent = (f"{event.type} in the outbox of {event.service}" for event in self.said if event.sent is None)
        owed = (f"{each.event.type} on its way to {each.queue}" for each in self.owed)
        called = (f"{call.name} called by {call.service}" for call in self.called if call.is_open)
        retried = (f"{failed.type} tried again in {failed.queue}" for failed in self.failed if failed.state == "retrying")
        return list(dict.fromkeys((*unsent, *owed, *called, *retried)))[:at_most]

    async def look(self) -> None:
        """Reads what may have changed, until a look brings nothing new. Raises what PostgreSQL raises."""
        places = self._restless() if self._snapshots else set(self._engines)
        seen: object = None
        while places and seen != (seen := self.known()):
            owed: dict[str, list[UUID]] = {name: [] for name in places}
            for each in self.owed:
                owed.setdefault(each.queue.partition(".")[0], []).append(each.event.id)
            await asyncio.gather(*(self._read(name, owed[name]) for name in places))
            places = self._restless()

    def known(self) -> object:
        """Changes whenever something was learned."""
        states = sorted((failed.queue, failed.position, failed.state, failed.attempts) for failed in self.failed)
        calls = sorted((call.id, call.state) for call in self.called)
        said = Counter(event.sent is not None for each in self._snapshots.values() for event in each.said)
        return bool(self._snapshots), said, len(self._handled), states, calls, len(self.planned)

    def _restless(self) -> set[str]:
        """The services in whose databases something may have happened since they were read."""
        owing = {each.queue.partition(".")[0] for each in self.owed}
        return owing | {name for name, snapshot in self._snapshots.items() if snapshot.moves}

    async def _read(self, name: str, owed: Sequence[UUID]) -> None:
        statement = ALL_FLOWS if self.flow is None else ONE_FLOW
        asked = {"since": self._since.get(name)} if self.flow is None else {"flow": self.flow}
        rows = await _rows(self._engines[name], statement, {**asked, "ids": list(owed)})
        snapshot = Snapshot()
        for row in rows:
            match row.what:
                case "said":
                    snapshot.said.append(self._said(name, row))
                case "handled":
                    queue = f"{name}.{row.name}"
                    self._handled[row.id, queue] = Handled(row.id, queue, row.at, row.position)
                case "failed":
                    snapshot.failed.append(_failed(name, row))
                case "planned":
                    snapshot.planned.append(Planned(name, row.state, row.name, row.key, row.cause, row.then))
                case "called":
                    snapshot.called.append(
                        Called(row.id, name, row.name, row.key, row.state, row.cause, row.more["error"], row.more["left"])
                    )
                case "read":
                    self.read[name] = row.position
                case "busy":
                    snapshot.busy.update({row.name: row.position} if row.position else {})
        self._snapshots[name] = snapshot

    def _said(self, name: str, row: Any) -> Said:
        queues = tuple(self._today(row.queues or ()))
        return Said(row.id, name, row.position, row.name, row.key, row.cause, row.at, row.then, queues)

    def _today(self, queues: Iterable[str]) -> Iterator[str]:
        """The queues by the names that their subscriptions have today, of services that are looked at."""
        for queue in queues:
            named = self._renamed.get(queue, queue)
            if named.partition(".")[0] in self._engines:
                yield named


async def _rows(engine: AsyncEngine, statement: TextClause, parameters: Mapping[str, object]) -> Sequence[Any]:
    """One statement's rows, and so one snapshot's; a connection that was cut before is no reason not to see them."""
    try:
        async with engine.connect() as connection:
            return (await connection.execute(statement, parameters)).all()
    except DBAPIError as failure:
        if not failure.connection_invalidated:
            raise
    async with engine.connect() as connection:
        return (await connection.execute(statement, parameters)).all()


async def first_failed(engine: AsyncEngine, queue: str, key: str) -> Failed | None:
    """The message that holds a key of a queue's subscription back."""
    service, _, subscription = queue.partition(".")
    rows = await _rows(engine, FIRST_OF_KEY, {"subscription": subscription, "key": key})
    return _failed(service, rows[0]) if rows else None


def _failed(name: str, row: Any) -> Failed:
    more = row.more
    return Failed(
        id=row.id,
        queue=f"{name}.{row.name}",
        key=row.key,
        state=row.state,
        type=more["type"],
        error=more["error"],
        reason=more["reason"],
        attempts=more["attempts"],
        fingerprint=more["fingerprint"],
        stack=more["stack"],
        waits_for=more["waits_for"],
        waits_key=more["waits_key"],
        due_at=row.then,
        position=row.position,
    )
