"""A person's erasure, in each service that may have personal data of such persons: the id is noted, what is there masked.

A contract says that an event is one (`erases="user_id"`); who hears it follows from the marks in the contracts that a service
publishes and reads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import CursorResult, Table, and_, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from broker._clock import clock
from broker._copied import own_columns, state_event_of
from broker._envelope import Envelope
from broker._erased import ALONE, PATIENCE
from broker._persons import Bodies, erased_value, kinds_of, kinds_within, mark_of
from broker._replicas import Replica
from broker._subscriptions import Subscription
from broker._tables import erased
from broker.errors import DeclarationError
from contracts.event import ERASURES, Event

if TYPE_CHECKING:
    from broker._service import Service


@dataclass(frozen=True, slots=True)
class Kept:
    """A column that keeps bodies: the table, what a row is known by, and which rows may have data of `:person`."""

    table: str
    key: str
    where: str
    column: str = "body"
    version: str = "version"
    joined: str = ""

    @property
    def found(self) -> str:
        """Each row's key, type, version and body."""
        return (
            f"SELECT {self.key} AS key, type, {self.version} AS version, {self.column} AS body "  # noqa: S608 (constants)
            f"FROM backbone.{self.table} {self.joined} WHERE {self.where}"
        )

    @property
    def masked(self) -> str:
        """Replaces the body of the row `:key`."""
        return f"UPDATE backbone.{self.table} SET {self.column} = :body WHERE {self.key} = :key"  # noqa: S608 (constants)


INDEXED = "persons @> ARRAY[CAST(CAST(:person AS text) AS uuid)]"
MENTIONED = "position(convert_to(CAST(:person AS text), 'UTF8') IN {}) > 0"
"""Looked for in every row: of these tables none is large for long, and the outbox is written too often to keep an index."""

OF_ACTION = "JOIN backbone.action_message USING (action, position)"
KEPT = (
    Kept("outbox", "position", MENTIONED.format("body")),
    Kept("schedule", "name", MENTIONED.format("body")),
    Kept("failed_message", "position", INDEXED),
    Kept("discarded_message", "position", INDEXED),
    *(
        Kept("correction", "action::text || position", MENTIONED.format(column), column, "CAST(NULL AS integer)", OF_ACTION)
        for column in ("before", "after")
    ),
)

WHOLE = {
    "idempotency": (MENTIONED.format("body"), "body = ''", "true"),
    "call": (
        "strpos(concat(CAST(request AS text), CAST(outcome AS text)), CAST(:person AS text)) > 0",
        "request = '{}', outcome = CASE WHEN outcome IS NOT NULL THEN CAST('{}' AS jsonb) END",
        "state IN ('answered', 'given_up')",
    ),
}
"""What has no contract, and goes as a whole where the person's id stands in it: where that is, what is left, and when.

A repeated request is not done again, whatever is left of its reply. A call that is still to be made needs what it says.
"""


@dataclass(frozen=True, slots=True)
class Copied:
    """The personal columns of a replica that are of one kind of person: the column that says whose, and what is put there."""

    table: Table
    of: str
    values: Mapping[str, Any]

    def condition(self, person: UUID) -> Any:
        """The rows that have something of the person."""
        held = (self.table.c[name].is_distinct_from(value) for name, value in self.values.items())
        return and_(self.table.c[self.of] == person, or_(*held))


def subscription_to_erasures(service: Service, reacting: Sequence[Subscription]) -> tuple[Subscription, ...]:
    """The subscription `erasures` of a service, if it has personal data of persons who can be erased.

    reacting: its other subscriptions. Which events erase is looked up in the modules of the contracts that it knows.
    Raises DeclarationError where a contract does not say what stands for erased data, or a replica not whose its data is.
    """
    known = {*service.events, *(event for subscription in reacting for event in subscription.events)}
    kinds = frozenset[str]().union(*(kinds_of(event) for event in known))
    modules = {event.__module__ for event in known}
    newest: dict[str, type[Event]] = {}
    for kind in sorted(kinds):
        for event in sorted(ERASURES.get(kind, ()), key=lambda event: event.contract.version):
            if event.__module__ in modules:
                newest[event.contract.name] = event
    if not newest:
        return ()
    _check(known, {str(event.contract.erases) for event in newest.values()})
    copied = [each for replica in service.replicated for each in copied_by(replica)]

    async def erase(event: Event, session: AsyncSession, envelope: Envelope) -> None:
        """Notes that a person is erased, and masks what is here of them."""
        kind = str(event.contract.erases)
        person: UUID = getattr(event, kind)
        found = await _empty(session, person)
        await session.execute(PATIENCE)
        await session.execute(ALONE)
        found |= await _mask(session, Bodies(service.known_events), copied, person)
        row = {
            "person": person, "kind": kind, "event_id": envelope.id, "erased_at": envelope.time, "noted_at": clock.now(),
            "found": found,
        }  # fmt: skip
        await session.execute(insert(erased).values(row).on_conflict_do_nothing())

    return (Subscription(name="erasures", events=tuple(newest.values()), handler=erase, on_failure="pass"),)


def copied_by(replica: type[Replica[Any]]) -> Iterator[Copied]:
    """What a replica has of persons who can be erased. Raises DeclarationError where that cannot be found again."""
    event, columns = state_event_of(replica), own_columns(replica.__table__)
    if kinds_of(event).isdisjoint(ERASURES):
        return
    values: dict[str, dict[str, Any]] = {}
    for name in columns:
        field = event.model_fields.get(name)
        if field is None or not kinds_within(field).isdisjoint(ERASURES):
            raise DeclarationError(
                f"{replica.__tablename__} keeps {name}, which is no field of {event.contract.name}, or is personal in parts: "
                "an erasure cannot blank it; keep fields of the contract that are personal as a whole, or not at all"
            )
        mark = mark_of(field)
        if mark is not None and mark.of in ERASURES:
            values.setdefault(mark.of, {})[name] = erased_value(field)
    for of, wanted in values.items():
        column = "id" if of == event.contract.key else of
        if column not in replica.__table__.c:
            raise DeclarationError(
                f"{replica.__tablename__} keeps {', '.join(wanted)} and not whose: keep {of} too, or an erasure misses them"
            )
        yield Copied(replica.__table__, column, wanted)


def _check(known: set[type[Event]], kinds: set[str]) -> None:
    for event in known:
        for name, field in event.model_fields.items():
            mark = mark_of(field)
            if mark is not None and mark.of in kinds:
                try:
                    erased_value(field)
                except DeclarationError as silent:
                    raise DeclarationError(f"{event.contract.name}: {name} of an erased person {silent}") from None


async def _mask(session: AsyncSession, bodies: Bodies, copied: Sequence[Copied], person: UUID) -> dict[str, int]:
    """Masks what is of a person; gives how many rows had something, by table."""
    found = Counter[str]()
    for each in copied:
        found[each.table.name] += await _changed(session, update(each.table).where(each.condition(person)).values(each.values))
    for kept in KEPT:
        for row in await _holding(session, kept, bodies, person):
            body = bodies.without(row.type, _version(bodies, row), row.body, frozenset([person]))
            await session.execute(text(kept.masked), {"key": row.key, "body": body})
            found[f"backbone.{kept.table}"] += 1
    return {table: rows for table, rows in found.items() if rows}


async def _empty(session: AsyncSession, person: UUID) -> dict[str, int]:
    """Empties what goes as a whole; gives how many rows that is, by table. Nobody needs to be shut out for that."""
    found = {}
    for table, (where, emptied, when) in WHOLE.items():
        statement = text(f"UPDATE backbone.{table} SET {emptied} WHERE {where} AND {when}")  # noqa: S608 (constants)
        found[f"backbone.{table}"] = await _changed(session, statement, person=str(person))
    return {table: rows for table, rows in found.items() if rows}


async def left_of(session: AsyncSession, service: Service, person: UUID) -> dict[str, int]:
    """What is there of a person: how many rows have something, by table."""
    found = Counter[str]()
    bodies = Bodies(service.known_events)
    for replica in service.replicated:
        for each in copied_by(replica):
            counted = select(func.count()).select_from(each.table).where(each.condition(person))
            found[each.table.name] += await session.scalar(counted) or 0
    for kept in KEPT:
        found[f"backbone.{kept.table}"] += len(await _holding(session, kept, bodies, person))
    for table, (where, *_) in WHOLE.items():
        rows = text(f"SELECT count(*) FROM backbone.{table} WHERE {where}")  # noqa: S608 (constants)
        found[f"backbone.{table}"] += await session.scalar(rows, {"person": str(person)}) or 0
    return {table: rows for table, rows in found.items() if rows}


async def _holding(session: AsyncSession, kept: Kept, bodies: Bodies, person: UUID) -> list[Any]:
    """The rows of a table whose bodies have data of a person."""
    rows = await session.execute(text(kept.found), {"person": str(person)})
    return [row for row in rows if bodies.holds(row.type, _version(bodies, row), row.body, person)]


def _version(bodies: Bodies, row: Any) -> int:
    return bodies.newest(row.type) if row.version is None else int(row.version)


async def _changed(session: AsyncSession, statement: Any, **values: Any) -> int:
    result: CursorResult[Any] = await session.execute(statement, values or None)  # type: ignore[assignment]
    return result.rowcount
