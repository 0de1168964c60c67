"""Telling the service `operations` which messages failed and what is done about them: as states, once they have settled.

Triggers note what changed, in the transaction that changed it; this loop publishes how it then is. So nobody who fails a
message, or replays one, knows of it, and a message that failed and went through at once is not talked about.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Text, cast, delete, exists, func, insert, literal, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from broker._actions import look
from broker._crash_points import CrashPoint
from broker._database import Database
from broker._dead_letters import among
from broker._loop import Loop
from broker._publishing import lock_number, publish
from broker._tables import action, change, failed_message, reporting
from contracts.backbone import FailedMessageChanged, FailureActionChanged
from contracts.event import StateEvent

AT_ONCE = 500
"""Changes that are told in one transaction."""

UNHEARD = select(or_(exists().select_from(change), exists().where(reporting.c.is_whole)))
"""Whether there is something to tell, or was when somebody last heard it."""

NEXT_VERSION = func.nextval(text("'backbone.state_version'::regclass"))


async def next_version(session: AsyncSession) -> int:
    """A version for a state that the backbone publishes: above every one before it in this database."""
    version: int = (await session.execute(select(NEXT_VERSION))).scalar_one()
    return version


class Reporter(Loop):
    """Publishes the states of failed messages and actions that changed. Every copy of a service may run it."""

    def __init__(self, database: Database, service: str, *, is_heard: bool, interval: float = 1.0) -> None:
        super().__init__(f"{service}.reporter", interval=interval)
        self._database, self._service, self._is_heard = database, service, is_heard

    async def run_once(self) -> bool:
        """Tells what has changed; True when there is more. Where nobody hears it, what changed is forgotten."""
        async with self._database.lent() as session:
            if not await session.scalar(select(func.pg_try_advisory_xact_lock(lock_number("reporter")))):
                return False
            if not self._is_heard:
                if await session.scalar(UNHEARD):
                    await session.execute(delete(change))
                    await session.execute(update(reporting).values(is_whole=False))
                    await session.settle(CrashPoint.HOUSEKEEPING_DONE)
                return False
            if not await session.scalar(select(reporting.c.is_whole)):
                await _note_all(session)
                await session.settle(CrashPoint.FAILURES_REPORTED)
                return True
            oldest = select(change.c.place).order_by(change.c.place).limit(AT_ONCE)
            gone = (
                delete(change)
                .where(change.c.place.in_(oldest))
                .returning(change.c.place, change.c.kind, change.c.key, change.c.was)
            )
            rows = sorted((await session.execute(gone)).all())
            changed: dict[str, dict[str, Mapping[str, Any] | None]] = {"message": {}, "action": {}}
            for row in rows:
                changed[row.kind][row.key] = row.was or changed[row.kind].get(row.key)
            await self._tell_messages(session, changed["message"])
            for key, was in changed["action"].items():
                state = await self._action(session, key, was)
                if state is not None:
                    publish(session, state)
            if rows:
                await session.settle(CrashPoint.FAILURES_REPORTED)
            return len(rows) == AT_ONCE

    async def _tell_messages(self, session: AsyncSession, changed: Mapping[str, Mapping[str, Any] | None]) -> None:
        if not changed:
            return
        there = select(failed_message).where(among(failed_message.c.position, [int(key) for key in changed]))
        kept = {str(row.position): row._asdict() for row in await session.execute(there)}
        versions = await session.scalars(select(NEXT_VERSION).select_from(func.generate_series(1, len(changed))))
        for (key, was), version in zip(changed.items(), versions.all(), strict=True):
            values = kept.get(key) or was
            if values is not None:
                publish(session, self._message(key, values, version, deleted=key not in kept))

    def _message(self, key: str, values: Mapping[str, Any], version: int, *, deleted: bool) -> FailedMessageChanged:
        return FailedMessageChanged.model_validate(
            {
                **{name: values[name] for name in FailedMessageChanged.model_fields if name in values},
                "failed_message_id": f"{self._service}/{key}",
                "service": self._service,
                "message_id": values["id"],
                "type_version": values["version"],
                "aggregate": values["key"],
                "state_version": version,
                "deleted": deleted,
            }
        )

    async def _action(self, session: AsyncSession, key: str, was: Mapping[str, Any] | None) -> StateEvent | None:
        found = await look(session, UUID(key))
        version = await next_version(session)
        if found is not None:
            outcomes = {outcome or "left": count for outcome, count in found.outcomes.items()}
            ours = {
                "action_id": found.id,
                "service": self._service,
                "outcomes": outcomes,
                "state_version": version,
                "deleted": False,
            }
            return FailureActionChanged.of(found, **ours)
        if was is None:
            return None
        ours = {"action_id": was["id"], "service": self._service, "outcomes": {}, "state_version": version, "deleted": True}
        kept = {name: value for name, value in was.items() if name in FailureActionChanged.model_fields}
        return FailureActionChanged.model_validate(kept | ours)


async def _note_all(session: AsyncSession) -> None:
    """Everything there is, for whoever hears it for the first time."""
    for kind, key in (("message", failed_message.c.position), ("action", action.c.id)):
        there = select(literal(kind), cast(key, Text)).order_by(key)
        await session.execute(insert(change).from_select(["kind", "key"], there))
    await session.execute(update(reporting).values(is_whole=True))
