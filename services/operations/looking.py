"""Finding failed messages over all services: pages, groups by reason, and how many there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.operations.replicas import FailedMessageReference as Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """Which failed messages are meant; what is not given is not asked for."""

    service: str | None = None
    subscription: str | None = None
    state: str | None = None
    type: str | None = None
    fingerprint: str | None = None
    aggregate: str | None = None
    flow: UUID | None = None

    @property
    def condition(self) -> ColumnElement[bool]:
        """As a condition on the replica."""
        asked: dict[Any, object] = {
            Message.service: self.service,
            Message.heard_by: self.subscription,
            Message.state: self.state,
            Message.type: self.type,
            Message.fingerprint: self.fingerprint,
            Message.aggregate: self.aggregate,
            Message.flow: self.flow,
        }
        return and_(~Message.deleted, *(column == value for column, value in asked.items() if value is not None))


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What failed for one reason in one subscription."""

    service: str
    subscription: str
    state: str
    fingerprint: str
    type: str
    count: int
    oldest: datetime
    newest: datetime
    last_hour: int
    """How many of them failed for the first time within the last hour: whether it goes on."""

    reason: str


def messages(sought: Sought) -> Select[Any]:
    """The messages that are meant."""
    return select(Message).where(sought.condition)


async def groups(session: AsyncSession, sought: Sought, since: datetime) -> Sequence[Group]:
    """What is meant, grouped by reason, the largest first. since: an hour ago."""
    by = (Message.service, Message.heard_by.label("subscription"), Message.state, Message.fingerprint)
    counted = (
        select(
            *by,
            func.min(Message.type).label("type"),
            func.count().label("count"),
            func.min(Message.first_failed_at).label("oldest"),
            func.max(Message.last_failed_at).label("newest"),
            func.count().filter(Message.first_failed_at >= since).label("last_hour"),
            func.max(Message.reason).label("reason"),
        )
        .where(sought.condition)
        .group_by(*by)
        .order_by(func.count().desc(), *by)
    )
    return [Group(**row) for row in (await session.execute(counted)).mappings()]
