"""Finding failed messages and understanding them: pages, groups and counts that a hundred thousand do not slow down.

Nothing here holds personal data, but for `body` and `properties`, which are left out unless asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    FromClause,
    Row,
    Select,
    Subquery,
    and_,
    any_,
    cast,
    func,
    literal,
    or_,
    select,
    union,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from broker._tables import discarded_message, failed_message, failure_count
from broker._verdicts import NEWER_CODE
from broker._words import GROUP, Words, among_found, are_few_wordings, one_by_one

HIDDEN = frozenset({"body", "properties"})
"""What may hold personal data."""

SHOWN = tuple(column for column in failed_message.c if column.name not in HIDDEN | {"stack", "persons", "words", "wording"})
"""What a list shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which failed messages are meant; what is not given is not asked for.

    states: any of them. positions: the numbers of a list. text: words, or beginnings of words, of fingerprint and reason.
    since and until are of the last failure, `until` not included.
    """

    subscription: str | None = None
    type: str | None = None
    states: tuple[str, ...] = ()
    key: str | None = None
    flow: UUID | None = None
    fingerprint: str | None = None
    text: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    ids: tuple[UUID, ...] = ()
    positions: tuple[int, ...] = ()

    @property
    def condition(self) -> ColumnElement[bool]:
        """As a condition on failed messages."""
        return self.on(failed_message)

    @property
    def but_words(self) -> Filter:
        """Without what is asked of their words."""
        return replace(self, text=None)

    def on(self, table: FromClause) -> ColumnElement[bool]:
        """As a condition on what has the columns of `failed_message` that are asked for."""
        row = table.c
        names = ("subscription", "type", "key", "flow", "fingerprint")
        asked = {name: getattr(self, name) for name in names}
        wanted: list[ColumnElement[bool]] = [row[name] == value for name, value in asked.items() if value is not None]
        if self.states:
            wanted.append(row.state.in_(self.states) if len(self.states) > 1 else row.state == self.states[0])
        if self.text is not None:
            wanted.append(Words(self.text).is_said(table))
        if self.since is not None:
            wanted.append(row.last_failed_at >= self.since)
        if self.until is not None:
            wanted.append(row.last_failed_at < self.until)
        if self.ids or self.positions:
            wanted.append(or_(row.id.in_(self.ids), among(row.position, self.positions)))
        return and_(True, *wanted)

    @property
    def is_of_groups(self) -> bool:
        """Whether it asks for whole groups only, which are counted already."""
        return replace(self, subscription=None, states=(), fingerprint=None) == Filter()

    def as_json(self) -> dict[str, Any]:
        """What was asked for, as JSON data."""
        given = {name: value for name, value in asdict(self).items() if value not in (None, ())}
        return {name: [*map(str, value)] if isinstance(value, tuple) else str(value) for name, value in given.items()}


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
    cause: UUID | None
    exchange: str
    routing_key: str
    error: str
    reason: str
    fingerprint: str
    attempts: int
    due_at: datetime | None
    waits_for: str | None
    waits_key: str | None
    first_failed_at: datetime
    last_failed_at: datetime
    behind: int
    stack: str = ""
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
                return "somebody must act: repair the cause and replay it, or discard it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What failed for one reason in one subscription: how many, since when, when any of them failed last, and the newest one's
    sentence."""

    subscription: str
    state: str
    fingerprint: str
    count: int
    oldest: datetime
    newest: datetime
    type: str
    reason: str


@dataclass(frozen=True, slots=True)
class Tally:
    """How many messages of a subscription are in a state, since when, and how many dead ones block others."""

    subscription: str
    state: str
    count: int
    oldest: datetime
    blocking: int


async def find(
    session: AsyncSession,
    wanted: Filter,
    *,
    limit: int | None = None,
    after: int = 0,
    with_stack: bool = False,
    with_body: bool = False,
) -> list[FailedMessage]:
    """The failed messages that are wanted, oldest first; at most `limit`, those after the position `after`."""
    later = failed_message.alias("later")
    held = (later.c.subscription == failed_message.c.subscription, later.c.key == failed_message.c.key)
    behind = (
        select(func.count())
        .where(*held, later.c.state == "held", later.c.position > failed_message.c.position, failed_message.c.state != "held")
        .scalar_subquery()
    )
    more = [failed_message.c[name] for name in (("stack",) if with_stack else ())]
    more += [failed_message.c[name] for name in (sorted(HIDDEN) if with_body else ())]
    query = await page(session, wanted, select(*SHOWN, *more, behind.label("behind")), after, limit)
    return [FailedMessage(**row) for row in (await session.execute(query)).mappings()]


async def page(session: AsyncSession, wanted: Filter, query: Select[Any], after: int, limit: int | None) -> Select[Any]:
    """The query of failed messages for what is wanted after a position, oldest first and at most `limit`.

    Words are looked for among the messages that are near, by their wordings, or span by span.
    """
    position, rest = failed_message.c.position, wanted.but_words.condition
    of_page = query.order_by(position).limit(limit)
    if wanted.text is None:
        return of_page.where(rest, position > after)
    words = Words(wanted.text)
    if limit is not None:
        found, are_all = (await session.execute(words.near(and_(rest, position > after)))).one()
        near = (found or [])[:limit]
        if len(near) == limit or are_all:
            return of_page.where(rest, among(position, near))
    few = await are_few_wordings(session)
    return of_page.where(among_found(words.page(rest, after, limit) if few else words.each(rest, after, limit)))


async def count(session: AsyncSession, wanted: Filter) -> int:
    """How many failed messages are wanted."""
    found = await _found(session, wanted)
    return int(await session.scalar(select(func.coalesce(func.sum(found.c.count), 0))) or 0)


async def groups(session: AsyncSession, wanted: Filter) -> list[Group]:
    """What is wanted, grouped by what it failed for: the largest first.

    Whole groups are counted as they change, and so are wordings: their number alone decides how long this takes.
    """
    counted = _grouped(await _found(session, wanted))
    row = failed_message.c
    first, last = (
        select(failed_message).where(row.position == counted.c[end]).limit(1).lateral(end) for end in ("first", "last")
    )
    query = (
        select(
            *(counted.c[name] for name in (*GROUP, "count")),
            first.c.first_failed_at.label("oldest"),
            counted.c.latest.label("newest"),
            last.c.type,
            last.c.reason,
        )
        .select_from(counted.join(first, literal(True)).join(last, literal(True)))
        .order_by(counted.c.count.desc(), *(counted.c[name] for name in GROUP))
    )
    return [Group(**row) for row in (await session.execute(query)).mappings()]


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


async def is_kept(session: AsyncSession, column: str, name: str) -> bool:
    """Whether a message that failed, or was discarded, has this name in the column."""
    there = (select(literal(1)).where(table.c[column] == name).exists() for table in (failed_message, discarded_message))
    return bool(await session.scalar(select(or_(*there))))


async def kept_names(session: AsyncSession, column: str) -> set[str]:
    """The names in a column of all messages that failed, or were discarded. Each is looked at."""
    names = (select(table.c[column]) for table in (failed_message, discarded_message))
    return set(await session.scalars(union(*names)))


async def read(session: AsyncSession, position: int) -> Row[Any] | None:
    """The whole row; None when it is gone."""
    return (await session.execute(select(failed_message).where(failed_message.c.position == position))).one_or_none()


def among(column: ColumnElement[int], numbers: Sequence[int]) -> ColumnElement[bool]:
    """Whether the column is one of these, however many they are."""
    return column == any_(literal(list(numbers), ARRAY(BigInteger)))


async def _found(session: AsyncSession, wanted: Filter) -> Subquery:
    """What is wanted, counted: group, number, first and last position, last failure, of a group in any number of rows."""
    if wanted.is_of_groups:
        return _whole_groups(wanted)
    if wanted.text is None or not await are_few_wordings(session):
        return one_by_one(select(failed_message).where(wanted.condition).subquery()).subquery()
    words, rest = Words(wanted.text), wanted.but_words
    return words.counted(rest.on) if rest.is_of_groups else one_by_one(words.found(rest.condition)).subquery()


def _whole_groups(wanted: Filter) -> Subquery:
    counts, row = failure_count.c, failed_message.c
    total = cast(func.sum(counts.by), BigInteger).label("count")
    columns = [counts[name] for name in GROUP]
    found = select(*columns, total).where(wanted.on(failure_count)).group_by(*columns).having(total > 0).subquery()
    same = [row[name] == found.c[name] for name in GROUP]
    first, last = (select(row.position).where(*same).order_by(end).limit(1) for end in (row.position, row.position.desc()))
    latest = select(row.last_failed_at).where(*same).order_by(row.last_failed_at.desc()).limit(1)
    ends = {"first": first, "last": last, "latest": latest}
    return select(*found.c, *(end.scalar_subquery().label(name) for name, end in ends.items())).subquery()


def _grouped(found: Subquery) -> Subquery:
    """Each group in one row."""
    group, number = [found.c[name] for name in GROUP], cast(func.sum(found.c.count), BigInteger).label("count")
    places = func.min(found.c.first).label("first"), func.max(found.c.last).label("last")
    return select(*group, number, *places, func.max(found.c.latest).label("latest")).group_by(*group).subquery()
