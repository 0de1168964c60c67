"""Telling the service `operations` which messages failed and what is done about them: as states, once they have settled.

Triggers note what changed, in the transaction that changed it; this loop publishes how it then is, and keeps what it told. So
nobody who fails a message, or replays one, knows of it, and a message that failed and went through at once is not talked about.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Text, cast, delete, exists, func, insert, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from broker._actions import LEFT, Action, look
from broker._crash_points import CrashPoint
from broker._database import Database
from broker._dead_letters import among
from broker._loop import Loop
from broker._publishing import lock_number
from broker._tables import action, change, failed_message, reporting, told
from broker._told import next_versions, of_keys, tell, tell_deleted
from contracts.backbone import FailedMessageChanged, FailureActionChanged
from contracts.event import StateEvent

T = TypeVar("T")

AT_ONCE = 500
"""Changes that are told in one transaction."""

REPORTED = told.c.type.in_([FailedMessageChanged.contract.name, FailureActionChanged.contract.name])
"""What this loop told."""

NEVER = {"is_whole": False, "noted": None}
"""Nothing has been told yet."""

UNHEARD = select(
    or_(
        exists().select_from(change),
        exists().where(REPORTED),
        exists().where(or_(reporting.c.is_whole, reporting.c.noted.is_not(None))),
    )
)
"""Whether there is something to tell, or was when somebody last heard it."""

HEARD = select(or_(exists().select_from(change), exists().where(~reporting.c.is_whole)))
"""Whether there is something to tell."""

UNTOLD = exists().where(change.c.place <= reporting.c.noted).correlate(reporting)
"""Whether something is left of what was noted for whoever hears it for the first time."""

_ours = {"message_id": "id", "type_version": "version", "aggregate": "key"}
FIELDS = {name: _ours.get(name, name) for name in FailedMessageChanged.model_fields}
TELLING = [failed_message.c[column].label(name) for name, column in FIELDS.items() if column in failed_message.c]
"""What is told of a failed message, by the contract's names."""


class Reporter(Loop):
    """Publishes the states of failed messages and actions that changed. Every copy of a service may run it."""

    def __init__(self, database: Database, service: str, *, is_heard: bool, interval: float = 1.0) -> None:
        super().__init__(f"{service}.reporter", interval=interval)
        self._database, self._service, self._is_heard = database, service, is_heard

    async def run_once(self) -> bool:
        """Tells what has changed; True when there is more. Where nobody hears it, what changed is forgotten."""
        if not any(await self._database.glance(HEARD if self._is_heard else UNHEARD)):
            return False
        async with self._database.lent() as session:
            if not await session.scalar(select(func.pg_try_advisory_xact_lock(lock_number("reporter")))):
                return False
            if not self._is_heard:
                await _forget(session)
                await session.settle(CrashPoint.HOUSEKEEPING_DONE)
                return False
            is_whole, noted = (await session.execute(select(reporting.c.is_whole, reporting.c.noted))).one()
            if not is_whole and noted is None:
                await _note_all(session)
                await session.settle(CrashPoint.FAILURES_REPORTED)
                return True
            oldest = select(change.c.place).order_by(change.c.place).limit(AT_ONCE)
            gone = delete(change).where(change.c.place.in_(oldest)).returning(change.c.place, change.c.kind, change.c.key)
            rows = sorted((await session.execute(gone)).all())
            changed = {kind: list(dict.fromkeys(row.key for row in rows if row.kind == kind)) for kind in ("message", "action")}
            await self._tell_messages(session, changed["message"])
            await self._tell_actions(session, changed["action"])
            if not is_whole:
                await session.execute(update(reporting).values(is_whole=~UNTOLD))
            if rows or not is_whole:
                await session.settle(CrashPoint.FAILURES_REPORTED)
            return len(rows) == AT_ONCE

    async def _tell_messages(self, session: AsyncSession, keys: Sequence[str]) -> None:
        if keys:
            there = select(*TELLING).where(among(failed_message.c.position, [int(key) for key in keys]))
            kept = {str(row.position): row._mapping for row in await session.execute(there)}
            found = {f"{self._service}/{key}": kept.get(key) for key in keys}
            await _tell(session, FailedMessageChanged, found, self._message)

    def _message(self, key: str, values: Mapping[Any, Any], version: int) -> FailedMessageChanged:
        ours = {"failed_message_id": key, "service": self._service, "state_version": version, "deleted": False}
        return FailedMessageChanged.model_validate({**values, **ours})

    async def _tell_actions(self, session: AsyncSession, keys: Sequence[str]) -> None:
        found = {key: await look(session, UUID(key)) for key in keys}
        await _tell(session, FailureActionChanged, found, self._action)

    def _action(self, key: str, found: Action, version: int) -> FailureActionChanged:
        outcomes = {outcome or LEFT: count for outcome, count in found.outcomes.items()}
        ours = {"action_id": UUID(key), "service": self._service, "outcomes": outcomes, "state_version": version}
        return FailureActionChanged.of(found, **ours, deleted=False)


async def _tell(
    session: AsyncSession, event: type[StateEvent], found: Mapping[str, T | None], state: Callable[[str, T, int], StateEvent]
) -> None:
    """Tells what was found, by its key, with a version of its own; and that what was not found is no more."""
    there = [(key, each) for key, each in found.items() if each is not None]
    versions = await next_versions(session, len(there))
    await tell(session, event, [state(key, each, version) for (key, each), version in zip(there, versions, strict=True)])
    gone = [key for key, each in found.items() if each is None]
    if gone:
        await tell_deleted(session, event, of_keys(gone))


async def _note_all(session: AsyncSession) -> None:
    """Everything there is, for whoever hears it for the first time."""
    for kind, key in (("message", failed_message.c.position), ("action", action.c.id)):
        there = select(literal(kind), cast(key, Text)).order_by(key)
        await session.execute(insert(change).from_select(["kind", "key"], there))
    last = select(func.coalesce(func.max(change.c.place), 0)).scalar_subquery()
    await session.execute(update(reporting).values(noted=last))


async def _forget(session: AsyncSession) -> None:
    """Nobody hears it: whoever does later is told everything that there is then."""
    await session.execute(delete(change))
    await session.execute(delete(told).where(REPORTED))
    await session.execute(update(reporting).values(NEVER))
