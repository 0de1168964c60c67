"""How states get into a replica: the highest version per key, in one statement."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    FromClause,
    Select,
    Table,
    TableValuedAlias,
    and_,
    bindparam,
    func,
    or_,
    select,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import Insert
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.ext.asyncio import AsyncSession

from broker._clock import clock
from broker._envelope import Envelope
from broker._failures import close, lock_keys, wake_waiting
from broker._publishing import lock_number
from contracts.event import StateEvent

if TYPE_CHECKING:
    from broker._replicas import Replica

Surplus = Mapping[str, int]
"""Rows of which the owner knows nothing: the version of each, by its key."""

SHARED_LOCK = text("SELECT pg_advisory_xact_lock_shared(:number)")

SUPERSEDED = text(
    """
    SELECT failed.position, failed.id, failed.key, failed.flow
    FROM backbone.failed_message failed
    JOIN unnest(CAST(:keys AS text[]), CAST(:versions AS bigint[])) AS newest (key, version) ON newest.key = failed.key
    WHERE failed.subscription = :subscription AND failed.sequence < newest.version
    ORDER BY failed.key, failed.position
    """
)


CONCERNED = text(
    "SELECT EXISTS (SELECT FROM backbone.failed_message WHERE subscription = :replica)"
    " OR EXISTS (SELECT FROM backbone.failed_message WHERE waits_for = :replica)"
)
"""Whether messages are kept that new rows may concern."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A state, the key that it is of, as text, and when it was published."""

    event: StateEvent
    key: str
    time: datetime

    @classmethod
    def by(cls, envelope: Envelope, event: StateEvent) -> Arrived:
        """As a message brought it."""
        return cls(event, envelope.subject, envelope.time)


class Wins(Enum):
    """When a state that arrives replaces the row that is there."""

    NEWER = "of a newer version"
    SAYS_MORE = "of a newer version, or of the same where the row is otherwise: its columns may be newer than itself"
    ALWAYS = "whatever the row claims to be"


async def upsert(
    session: AsyncSession, replica: type[Replica[Any]], arrived: Iterable[Arrived], wins: Wins = Wins.NEWER
) -> int:
    """Brings the replica up to the newest of these states and wakes what waited for their keys; says how many messages that is.

    What does not win changes nothing. An older message of the same key that had failed is closed: its state would not either.
    """
    newest = newest_per_key(arrived)
    if not newest:
        return 0
    await _lock(session, replica)
    await session.execute(_statement(replica.__table__, wins), columns_of(replica, newest))
    await _close_superseded(session, replica.__tablename__, {state.key: state.event.state_version for state in newest})
    return await wake_waiting(session, replica.__tablename__, [state.key for state in newest])


async def pour(
    session: AsyncSession,
    replica: type[Replica[Any]],
    rows: FromClause,
    values: Mapping[str, Any],
    versions: Callable[[], Mapping[str, int]],
    wins: Wins,
) -> int:
    """`upsert` of rows that the database itself makes, one of each key. versions: of each, for messages that they concern."""
    await _lock(session, replica)
    await session.execute(insert_from(rows, replica.__table__, wins), values)
    return await _wake(session, replica, versions)


async def pour_range(
    session: AsyncSession,
    replica: type[Replica[Any]],
    rows: FromClause,
    values: Mapping[str, Any],
    versions: Callable[[], Mapping[str, int]],
    among: ColumnElement[bool],
) -> tuple[Surplus, int]:
    """`pour` of a range of keys, as a fill does it; gives which rows `among` the replica's are none of these too."""
    await _lock(session, replica)
    new = select(*rows.c).cte("new")
    written = insert_from(new, replica.__table__, Wins.SAYS_MORE).cte("written")
    found = await session.execute(surplus_to(new, replica.__table__, among).add_cte(written), values)
    return {str(id_): version for id_, version in found}, await _wake(session, replica, versions)


def surplus_to(new: FromClause, table: Table, among: ColumnElement[bool]) -> Select[Any]:
    """The rows of a replica that are not deleted, and none of `new`: their ids and versions."""
    is_given = select(new.c.id).where(new.c.id == table.c.id).exists()
    return select(table.c.id, table.c.state_version).where(among, ~table.c.deleted, ~is_given)


async def _lock(session: AsyncSession, replica: type[Replica[Any]]) -> None:
    """Whoever records a message as waiting for a replica takes the lock exclusively and looks again: no wake-up is lost."""
    await session.execute(SHARED_LOCK, {"number": lock_number("replica", replica.__tablename__)})


async def _wake(session: AsyncSession, replica: type[Replica[Any]], versions: Callable[[], Mapping[str, int]]) -> int:
    name = replica.__tablename__
    if not await session.scalar(CONCERNED, {"replica": name}):
        return 0
    known = versions()
    await _close_superseded(session, name, known)
    return await wake_waiting(session, name, list(known))


async def _close_superseded(session: AsyncSession, replica: str, versions: Mapping[str, int]) -> None:
    keys = {"keys": list(versions), "versions": list(versions.values()), "subscription": replica}
    rows = (await session.execute(SUPERSEDED, keys)).all()
    if rows:
        await lock_keys(session, replica, [row.key for row in rows])
        await close(session, replica, rows)


def newest_per_key(arrived: Iterable[Arrived]) -> list[Arrived]:
    """The highest version of each key, in the order of the keys, in which every writer locks them."""
    newest: dict[str, Arrived] = {}
    for state in arrived:
        known = newest.get(state.key)
        if known is None or known.event.state_version < state.event.state_version:
            newest[state.key] = state
    return [newest[key] for key in sorted(newest)]


def columns_of(replica: type[Replica[Any]], states: Sequence[Arrived]) -> dict[str, list[Any]]:
    """What the rows of these states hold, by column."""
    now = clock.now()
    columns: dict[str, list[Any]] = {column.name: [] for column in replica.__table__.columns}
    for state in states:
        event = state.event
        row = replica.kept(event)
        row.update(
            id=getattr(event, event.contract.key),
            state_version=event.state_version,
            deleted=event.deleted,
            changed_at=state.time,
            received_at=now,
        )
        for name, values in columns.items():
            value = row[name]
            values.append(value.model_dump(mode="json") if isinstance(value, BaseModel) else value)
    return columns


def given_rows(table: Table) -> TableValuedAlias:
    """The rows that `columns_of` gives, as a table `new` in a statement."""
    # One dimension: a value that is itself a list, as JSONB may be, is one element.
    arrays = [bindparam(column.name, type_=ARRAY(column.type, dimensions=1)) for column in table.columns]
    return func.unnest(*arrays).table_valued(*(column.name for column in table.columns), name="new").render_derived()


@cache
def _statement(table: Table, wins: Wins) -> Insert:
    return insert_from(given_rows(table), table, wins)


def insert_from(new: FromClause, table: Table, wins: Wins) -> Insert:
    """The statement that brings a replica's table up to the rows of `new`."""
    names = [column.name for column in table.columns]
    insert = pg_insert(table).from_select(names, select(*(new.c[name] for name in names)))
    here, there = table.c.state_version, insert.excluded.state_version
    contents = [name for name in names if name not in ("id", "changed_at", "received_at")]
    says_more = and_(here == there, or_(*(table.c[name].is_distinct_from(insert.excluded[name]) for name in contents)))
    return insert.on_conflict_do_update(
        index_elements=[table.c.id],
        set_={name: insert.excluded[name] for name in names if name != "id"},
        where={Wins.NEWER: here < there, Wins.SAYS_MORE: or_(here < there, says_more), Wins.ALWAYS: true()}[wins],
    )
