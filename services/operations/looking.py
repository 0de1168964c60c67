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
from services.operations.replicas import InvoiceReference, PatientReference

MOST = 50
"""Aggregates that one number may find."""


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


def messages(sought: Sought) -> Select[Any]:
    """The messages that are meant."""
    return select(Message).where(sought.condition)


async def count(session: AsyncSession, sought: Sought) -> int:
    """How many messages are meant."""
    return int(await session.scalar(select(func.count()).select_from(Message).where(sought.condition)) or 0)


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
