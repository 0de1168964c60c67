"""How states get into a replica: the highest version per key, in one statement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from sqlalchemy import ARRAY, Table, bindparam, func, select, text
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


@dataclass(frozen=True, slots=True)
class Arrived:
    """A state and the message it came in."""

    event: StateEvent
    envelope: Envelope


async def upsert(session: AsyncSession, replica: type[Replica[Any]], arrived: Iterable[Arrived]) -> int:
    """Brings the replica up to the newest of these states and wakes what waited for their keys; says how many messages that is.

    Older states change nothing. An older message of the same key that had failed is closed: its state would not either.
    """
    newest = newest_per_key(arrived)
    if not newest:
        return 0
    # Whoever records a message as waiting for this replica takes the lock exclusively and looks again: no wake-up is lost.
    await session.execute(SHARED_LOCK, {"number": lock_number("replica", replica.__tablename__)})
    await session.execute(_statement(replica.__table__), _columns(replica, newest))
    await _close_superseded(session, replica, newest)
    return await wake_waiting(session, replica.__tablename__, [state.envelope.subject for state in newest])


async def _close_superseded(session: AsyncSession, replica: type[Replica[Any]], newest: Sequence[Arrived]) -> None:
    subscription = replica.__tablename__
    keys, versions = [state.envelope.subject for state in newest], [state.event.state_version for state in newest]
    failed = await session.execute(SUPERSEDED, {"keys": keys, "versions": versions, "subscription": subscription})
    rows = failed.all()
    if rows:
        await lock_keys(session, subscription, [row.key for row in rows])
        await close(session, subscription, rows)


def newest_per_key(arrived: Iterable[Arrived]) -> list[Arrived]:
    """The highest version of each key, in the order of the keys, in which every writer locks them."""
    newest: dict[str, Arrived] = {}
    for state in arrived:
        known = newest.get(state.envelope.subject)
        if known is None or known.event.state_version < state.event.state_version:
            newest[state.envelope.subject] = state
    return [newest[key] for key in sorted(newest)]


def _columns(replica: type[Replica[Any]], states: Sequence[Arrived]) -> dict[str, list[Any]]:
    key = states[0].event.contract.key
    now = clock.now()
    columns: dict[str, list[Any]] = {column.name: [] for column in replica.__table__.columns}
    for state in states:
        event = state.event
        row = replica.kept(event)
        row.update(
            id=getattr(event, key),
            state_version=event.state_version,
            deleted=event.deleted,
            changed_at=state.envelope.time,
            received_at=now,
        )
        for name, values in columns.items():
            value = row[name]
            values.append(value.model_dump(mode="json") if isinstance(value, BaseModel) else value)
    return columns


@cache
def _statement(table: Table) -> Insert:
    names = [column.name for column in table.columns]
    # One dimension: a value that is itself a list, as JSONB may be, is one element.
    arrays = [bindparam(column.name, type_=ARRAY(column.type, dimensions=1)) for column in table.columns]
    new = func.unnest(*arrays).table_valued(*names, name="new").render_derived()
    insert = pg_insert(table).from_select(names, select(*(new.c[name] for name in names)))
    return insert.on_conflict_do_update(
        index_elements=[table.c.id],
        set_={name: insert.excluded[name] for name in names if name != "id"},
        where=table.c.state_version < insert.excluded.state_version,
    )
