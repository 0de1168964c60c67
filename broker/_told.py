"""What the backbone tells of a service is kept as it was told, in the transaction that tells it: so replicas of it can be
filled again, checked and repaired as those of any other state.

It is the whole of what such a replica has to hold. A state that was never told is none, whatever tables it is made from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import to_json
from sqlalchemy import ARRAY, ColumnElement, Text, any_, delete, exists, func, literal, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from broker._projections import States
from broker._publishing import publish
from broker._tables import action, failed_message, reporting, told
from contracts import backbone
from contracts.event import EVERY_SERVICE, StateEvent, events_in

NEXT_VERSION = func.nextval(text("'backbone.state_version'::regclass"))

IS_WHOLE = select(or_(reporting.c.is_whole, ~or_(exists().select_from(failed_message), exists().select_from(action))))

KEEP = text(
    """
    INSERT INTO backbone.told (type, key, state)
    SELECT :type, given.key, CAST(given.state AS jsonb)
    FROM unnest(CAST(:keys AS text[]), CAST(:states AS text[])) AS given (key, state)
    ON CONFLICT (type, key) DO UPDATE SET state = excluded.state
    """
)

TOLD: Mapping[str, type[StateEvent]] = {
    event.contract.name: event
    for event in events_in(backbone)
    if issubclass(event, StateEvent) and event.contract.publisher == EVERY_SERVICE
}
"""The states that the backbone tells, by the name of their event."""


class ToldStates(States):
    """Reads what was told of one kind."""

    def __init__(self, event: type[StateEvent]) -> None:
        columns = {name: told.c.state[name] for name in event.model_fields}
        super().__init__(event, told.c.key, columns, among=told.c.type == event.contract.name)


async def is_whole(session: AsyncSession) -> bool:
    """Whether everything that failed is told: not while it is told to somebody who hears it for the first time."""
    return bool(await session.scalar(IS_WHOLE))


async def next_versions(session: AsyncSession, count: int) -> Sequence[int]:
    """Versions for states that the backbone publishes: above every one before them in this database."""
    return (await session.scalars(select(NEXT_VERSION).select_from(func.generate_series(1, count)))).all() if count else []


async def tell(session: AsyncSession, event: type[StateEvent], states: Sequence[StateEvent]) -> None:
    """Publishes states of one kind, one of each key, and keeps them as told: all of them in one statement."""
    for state in states:
        publish(session, state)
    if states:
        bodies = [state.model_dump_json() for state in states]
        kept = {"type": event.contract.name, "keys": [state.subject for state in states], "states": bodies}
        await session.execute(KEEP, kept)


async def tell_deleted(session: AsyncSession, event: type[StateEvent], *which: ColumnElement[bool]) -> None:
    """Publishes that states are no more, as they were told last; of those that never were nothing is said."""
    gone = delete(told).where(told.c.type == event.contract.name, *which).returning(told.c.state)
    states: Sequence[dict[str, Any]] = (await session.scalars(gone)).all()
    for state, version in zip(states, await next_versions(session, len(states)), strict=True):
        body = to_json(state | {"state_version": version, "deleted": True})
        publish(session, event.read(body, event.contract.version))


def of_keys(keys: Sequence[str]) -> ColumnElement[bool]:
    """Whether a state is one of these, however many they are."""
    return told.c.key == any_(literal(list(keys), ARRAY(Text)))
