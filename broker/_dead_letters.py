"""What a person does with failed messages: find them, understand them, try them again, or let them go.

Nothing here holds personal data, but for `body` and `properties`, which are left out unless asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from broker._clock import clock
from broker._database import Database
from broker._failures import close, lock_key
from broker._tables import failed_message
from broker._verdicts import NEWER_CODE

ALWAYS = tuple(column for column in failed_message.c if column.name not in {"body", "properties"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which failed messages are meant; what is not given is not asked for. `positions` are the numbers of `list`."""

    subscription: str | None = None
    type: str | None = None
    state: str | None = None
    key: str | None = None
    flow: UUID | None = None
    ids: tuple[UUID, ...] = ()
    positions: tuple[int, ...] = ()

    @property
    def condition(self) -> ColumnElement[bool]:
        """As a condition on the table."""
        row = failed_message.c
        asked = {"subscription": self.subscription, "type": self.type, "state": self.state, "key": self.key, "flow": self.flow}
        wanted: list[ColumnElement[bool]] = [row[name] == value for name, value in asked.items() if value is not None]
        if self.ids or self.positions:
            wanted.append(or_(row.id.in_(self.ids), row.position.in_(self.positions)))
        return and_(True, *wanted)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedMessage:
    """One failed message as it is shown. `behind`: messages that lie behind it and wait for it."""

    position: int
    id: UUID | None
    subscription: str
    state: str
    type: str
    version: int
    key: str
    sequence: int
    flow: UUID | None
    exchange: str
    routing_key: str
    error: str
    reason: str
    attempts: int
    due_at: datetime | None
    waits_for: str | None
    waits_key: str | None
    first_failed_at: datetime
    last_failed_at: datetime
    behind: int
    body: bytes | None = field(default=None, repr=False)
    properties: dict[str, Any] | None = field(default=None, repr=False)

    @property
    def next_step(self) -> str:
        """What happens next by itself, or what somebody has to do."""
        match self.state:
            case "held":
                return "goes on by itself after the message before it"
            case "retrying":
                return "is tried again by itself" + (f" at {self.due_at:%H:%M:%S}" if self.due_at else "")
            case "waiting" if self.waits_for == NEWER_CODE:
                return "goes on by itself when code that knows it runs: deploy the newer version"
            case "waiting":
                return f"goes on by itself when {self.waits_for} {self.waits_key} arrives"
            case _:
                return "somebody must act: repair the cause and retry it, or discard it"


@dataclass(frozen=True, slots=True)
class Tally:
    """How many messages of a subscription are in a state, since when, and how many dead ones block others."""

    subscription: str
    state: str
    count: int
    oldest: datetime
    blocking: int


async def find(
    session: AsyncSession, wanted: Filter, *, limit: int | None = None, with_body: bool = False
) -> list[FailedMessage]:
    """The failed messages that are wanted, oldest first."""
    later = failed_message.alias("later")
    held = (later.c.subscription == failed_message.c.subscription, later.c.key == failed_message.c.key)
    behind = (
        select(func.count())
        .where(*held, later.c.state == "held", later.c.position > failed_message.c.position, failed_message.c.state != "held")
        .scalar_subquery()
    )
    columns = (failed_message.c.body, failed_message.c.properties) if with_body else ()
    query = select(*ALWAYS, *columns, behind.label("behind")).where(wanted.condition).order_by(failed_message.c.position)
    return [FailedMessage(**row) for row in (await session.execute(query.limit(limit))).mappings()]


async def tally(session: AsyncSession | AsyncConnection) -> Sequence[Tally]:
    """All failed messages, counted by subscription and state. `blocking` alarms apart: others lie behind these dead ones."""
    later = failed_message.alias("later")
    blocks = (
        select(later.c.position)
        .where(
            later.c.subscription == failed_message.c.subscription,
            later.c.key == failed_message.c.key,
            later.c.state == "held",
            failed_message.c.state == "dead",
        )
        .exists()
    )
    row = failed_message.c
    counted = select(
        row.subscription, row.state, func.count(), func.min(row.first_failed_at), func.count().filter(blocks)
    ).group_by(row.subscription, row.state)
    return [Tally(*found) for found in (await session.execute(counted.order_by(row.subscription, row.state))).all()]


async def discard(database: Database, position: int) -> bool:
    """Lets a message go without effect: it counts as handled from now on, and what lies behind it goes on.

    False when it is gone already. Who did it is for the caller to log.
    """
    async with database.transaction() as session:
        row = await _read(session, position)
        if row is None:
            return False
        await lock_key(session, row.subscription, row.key)
        row = await _read(session, position)
        if row is None:
            return False
        await close(session, row.subscription, row.position, id_=row.id, key=row.key, flow=row.flow)
        return True


def age(moment: datetime) -> str:
    """How long ago, in the largest unit that fits: `3 d`, `12 min`."""
    seconds = max(int((clock.now() - moment).total_seconds()), 0)
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


async def _read(session: AsyncSession, position: int) -> Row[Any] | None:
    return (await session.execute(select(failed_message).where(failed_message.c.position == position))).one_or_none()
