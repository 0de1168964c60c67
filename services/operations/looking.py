"""Finding failed messages over all services: pages, groups by reason, and how many there are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ColumnElement, Select, and_, cast, false, func, select, true, tuple_
from sqlalchemy.dialects.postgresql import TSQUERY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from services.operations.replicas import FailedMessageReference as Message
from services.operations.replicas import FailureCount, InvoiceReference, PatientReference, UserReference
from services.operations.rules import LOOKING
from services.operations.tables import OperationRequest

MOST = 50
"""Aggregates that one number may find."""

MOST_LATELY = 1000
"""Messages of a group that are counted as of the last hour: more need not be told apart to see that it goes on."""

MOST_COUNTED = 1000
"""Messages that are counted one by one: of more it is enough to know that."""

NEAR = 500
"""Messages that are looked at before words are looked up: a page of what many say is among them."""

KIND = ("service", "heard_by", "state", "fingerprint")
"""What makes a group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """Which failed messages are meant; what is not given is not asked for.

    text: words, or beginnings of words, of fingerprint and reason; all of them. since and until are of the last failure,
    `until` not included.
    """

    service: str | None = None
    subscription: str | None = None
    state: str | None = None
    type: str | None = None
    fingerprint: str | None = None
    aggregate: str | None = None
    flow: UUID | None = None
    text: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def condition(self) -> ColumnElement[bool]:
        """As a condition on the replica."""
        return self.but_words if self.text is None else and_(self.but_words, _says(self.text))

    @property
    def but_words(self) -> ColumnElement[bool]:
        """The same, whatever the words are."""
        wanted = [~Message.deleted, _kind(self, Message)]
        wanted += _equal({Message.aggregate: self.aggregate, Message.flow: self.flow})
        if self.since is not None:
            wanted.append(Message.last_failed_at >= self.since)
        if self.until is not None:
            wanted.append(Message.last_failed_at < self.until)
        return and_(*wanted)

    @property
    def is_of_kinds(self) -> bool:
        """Whether whole kinds are asked for."""
        return (self.aggregate, self.flow, self.text, self.since, self.until) == (None,) * 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What failed for one reason in one subscription. `newest`, `type` and `reason` are those of the one that failed last."""

    service: str
    subscription: str
    state: str
    fingerprint: str
    type: str
    count: int
    oldest: datetime
    newest: datetime
    last_hour: int
    """How many of them failed for the first time within the last hour, at most MOST_LATELY: whether it goes on."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate:
    """Something that people have a number for: what it is, whose word on it counts, its id, and where it is."""

    kind: str
    owner: str
    id: UUID
    facility_id: UUID


async def called(session: AsyncSession, number: str) -> list[Aggregate]:
    """What is called by an invoice number or a medical record number: at several facilities, perhaps."""
    kinds = (
        ("invoice", "billing", InvoiceReference, InvoiceReference.number),
        ("patient", "clinical", PatientReference, PatientReference.medical_record_number),
    )
    return [
        Aggregate(kind=kind, owner=owner, id=id_, facility_id=facility_id)
        for kind, owner, row, column in kinds
        for id_, facility_id in await session.execute(
            select(row.id, row.facility_id).where(column == number, ~row.deleted).order_by(row.id).limit(MOST)
        )
    ]


def id_in(text: str) -> UUID | None:
    """The id that a text is; None where it is something else."""
    try:
        return UUID(text)
    except ValueError:
        return None


async def names(session: AsyncSession, subjects: Iterable[str]) -> Mapping[str, str]:
    """What people are called, by the subjects of their tokens; of those whom nobody here knows it is not told."""
    ids = [id_ for subject in set(subjects) if (id_ := id_in(subject)) is not None]
    known = select(UserReference.id, UserReference.full_name).where(UserReference.id.in_(ids), ~UserReference.deleted)
    return {str(id_): name for id_, name in await session.execute(known)}


def waiting(now: datetime) -> Select[Any]:
    """What services were asked to do, and may still begin: they have not answered."""
    row = OperationRequest
    return select(row).where(row.state == "asked", row.until > now, row.operation.not_in(LOOKING))


def messages(sought: Sought) -> Select[Any]:
    """The messages that are meant."""
    if sought.text is None:
        return select(Message).where(sought.but_words)
    # OFFSET 0: looked up before anything else. How far it would walk until it finds the words, a planner does not know.
    said = select(Message.id).where(~Message.deleted, _says(sought.text)).offset(0)
    return select(Message).where(sought.but_words, Message.id.in_(said))


async def page(session: AsyncSession, sought: Sought, after: Message | None, limit: int) -> Sequence[Message]:
    """The messages that are meant, those after this one, the oldest first."""
    place = tuple_(Message.first_failed_at, Message.id)
    following = true() if after is None else place > tuple_(after.first_failed_at, after.id)
    if sought.text is not None:
        near = aliased(Message, select(Message).where(sought.but_words, following).order_by(*place).limit(NEAR).subquery())
        said = select(near).where(_says(sought.text, near)).order_by(near.first_failed_at, near.id).limit(limit)
        found = (await session.scalars(said)).all()
        if len(found) == limit:
            return found
    return (await session.scalars(messages(sought).where(following).order_by(*place).limit(limit))).all()


async def count(session: AsyncSession, sought: Sought) -> int:
    """How many messages are meant; if they are not whole kinds, MOST_COUNTED + 1 says that there are more."""
    if sought.is_of_kinds:
        counted = select(func.coalesce(func.sum(FailureCount.count), 0)).where(_kind(sought, FailureCount))
    else:
        some = select(Message.id).where(sought.condition).limit(MOST_COUNTED + 1)
        counted = select(func.count()).select_from(some.subquery())
    return int(await session.scalar(counted) or 0)


async def groups(session: AsyncSession, sought: Sought, since: datetime) -> Sequence[Group]:
    """What is meant, grouped by reason, the largest first. since: an hour ago.

    Kinds are counted as they change, so that their number alone decides how long this takes.
    """
    counted = _counted(sought).subquery()
    same = [getattr(Message, name) == counted.c[name] for name in KIND]
    kept = select(Message).where(sought.condition, *same)
    first, last = (
        kept.order_by(*order).limit(1).subquery(name).lateral()
        for name, order in (
            ("first", (Message.first_failed_at, Message.id)),
            ("last", (Message.last_failed_at.desc(), Message.id.desc())),
        )
    )
    recent = kept.where(Message.first_failed_at >= since).limit(MOST_LATELY).correlate(counted).subquery()
    lately = select(func.count().label("count")).select_from(recent).lateral("lately")
    query = (
        select(
            counted.c.service,
            counted.c.heard_by.label("subscription"),
            counted.c.state,
            counted.c.fingerprint,
            counted.c.count,
            first.c.first_failed_at.label("oldest"),
            last.c.last_failed_at.label("newest"),
            last.c.type,
            last.c.reason,
            lately.c.count.label("last_hour"),
        )
        .select_from(counted.join(first, true()).join(last, true()).join(lately, true()))
        .order_by(counted.c.count.desc(), *(counted.c[name] for name in KIND))
    )
    return [Group(**row) for row in (await session.execute(query)).mappings()]


def _counted(sought: Sought) -> Select[Any]:
    """How many messages of each group are meant."""
    if not sought.is_of_kinds:
        columns = [getattr(Message, name) for name in KIND]
        return select(*columns, func.count().label("count")).where(sought.condition).group_by(*columns)
    columns = [getattr(FailureCount, name) for name in KIND]
    total = cast(func.sum(FailureCount.count), BigInteger).label("count")
    return select(*columns, total).where(_kind(sought, FailureCount)).group_by(*columns).having(total > 0)


def _kind(sought: Sought, row: type[Message | FailureCount]) -> ColumnElement[bool]:
    """What is asked of the kind of a message, which is counted already."""
    asked: dict[Any, object] = {
        row.service: sought.service,
        row.heard_by: sought.subscription,
        row.state: sought.state,
        row.type: sought.type,
        row.fingerprint: sought.fingerprint,
    }
    return and_(True, *_equal(asked))


def _says(text: str, row: type[Message] = Message) -> ColumnElement[bool]:
    words = re.findall(r"[^\W_]+", text)
    query = cast(func.lower(" & ".join(f"'{word}':*" for word in words)), TSQUERY)
    return func.failure_words(row.fingerprint, row.reason).bool_op("@@")(query) if words else false()


def _equal(asked: Mapping[Any, object]) -> list[ColumnElement[bool]]:
    return [column == value for column, value in asked.items() if value is not None]
