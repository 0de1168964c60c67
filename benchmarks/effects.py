"""The events that all contenders carry, and what each must do with one: the same rows, through SQLAlchemy's ORM.

Peers have this module in their own virtual environments, with SQLAlchemy and pydantic; asynchronous ones also asyncpg.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from pydantic import BaseModel
from sqlalchemy import BigInteger, MetaData, Text
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

ACCOUNTS = 1000
"""Rows that the workload `update` reads, changes and writes."""


class Posting(BaseModel):
    """An amount was posted to an account: 400 bytes as JSON."""

    entry_id: UUID
    account_id: UUID
    amount: Decimal
    posted_at: datetime
    note: str


class AccountState(BaseModel):
    """An account's whole public state: 400 bytes as JSON."""

    account_id: UUID
    state_version: int
    owner: str
    note: str


def posting(number: int) -> Posting:
    """The posting with this number; it goes to one of the ACCOUNTS."""
    return Posting(
        entry_id=uuid4(), account_id=account_id(number), amount=Decimal("12.50"), posted_at=datetime.now(UTC), note="n" * 218
    )


def account_state(number: int) -> AccountState:
    """The first state of an account that nobody has heard of."""
    return AccountState(account_id=uuid4(), state_version=number + 1, owner="o" * 30, note="n" * 254)


def account_id(number: int) -> UUID:
    """One of the ACCOUNTS."""
    return UUID(int=number % ACCOUNTS)


class Base(DeclarativeBase):
    """The tables of effects."""

    metadata = MetaData()


class Entry(Base):
    """The effect of a posting, for `insert`."""

    __tablename__ = "entry"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID]
    amount: Mapped[Decimal]
    note: Mapped[str] = mapped_column(Text)


class Account(Base):
    """What postings change, for `update`."""

    __tablename__ = "account"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    total: Mapped[Decimal]
    entries: Mapped[int] = mapped_column(BigInteger)


class AccountReference(Base):
    """A copy of an account, for `replica`."""

    __tablename__ = "account_reference"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    state_version: Mapped[int] = mapped_column(BigInteger)
    owner: Mapped[str] = mapped_column(Text)
    note: Mapped[str] = mapped_column(Text)


class Seen(Base):
    """The inbox that a peer is given which has none: the ids of messages that took effect."""

    __tablename__ = "seen"

    id: Mapped[UUID] = mapped_column(primary_key=True)


def entry(event: Posting) -> Entry:
    """The row of a posting."""
    return Entry(id=event.entry_id, account_id=event.account_id, amount=event.amount, note=event.note)


def upsert(event: AccountState) -> Insert:
    """Takes over a state unless a newer one is there."""
    values = {"state_version": event.state_version, "owner": event.owner, "note": event.note}
    statement = insert(AccountReference).values(id=event.account_id, **values)
    return statement.on_conflict_do_update(
        index_elements=[AccountReference.id],
        set_=values,
        where=AccountReference.state_version < statement.excluded.state_version,
    )


def mark_seen(id_: UUID) -> Any:
    """Gives a row when the message is new."""
    return insert(Seen).values(id=id_).on_conflict_do_nothing().returning(Seen.id)


async def _insert(session: AsyncSession, event: Posting) -> None:
    session.add(entry(event))


async def _update(session: AsyncSession, event: Posting) -> None:
    account = await session.get_one(Account, event.account_id, with_for_update=True)
    account.total += event.amount
    account.entries += 1


async def _replicate(session: AsyncSession, event: AccountState) -> None:
    await session.execute(upsert(event))


Effect = Callable[[AsyncSession, Any], Awaitable[None]]
EFFECTS: dict[str, Effect] = {"insert": _insert, "update": _update, "replica": _replicate}


async def exactly_once(session: AsyncSession, workload: str, id_: UUID, event: Posting | AccountState) -> None:
    """The effect, unless the message had it before; in the caller's transaction."""
    if await session.scalar(mark_seen(id_)) is not None:
        await EFFECTS[workload](session, event)


def exactly_once_blocking(session: Session, workload: str, id_: UUID, event: Any) -> None:
    """`exactly_once` for peers that do not use asyncio."""
    if session.scalar(mark_seen(id_)) is None:
        return
    if workload == "insert":
        session.add(entry(event))
    elif workload == "update":
        account = session.get_one(Account, event.account_id, with_for_update=True)
        account.total += event.amount
        account.entries += 1
    else:
        session.execute(upsert(event))


def event_class(workload: str) -> type[Posting] | type[AccountState]:
    """What a workload's messages hold."""
    return AccountState if workload == "replica" else Posting


def events(workload: str, count: int) -> Iterator[Posting | AccountState]:
    """That many events for a workload."""
    make = account_state if workload == "replica" else posting
    return (make(number) for number in range(count))


def accounts() -> list[dict[str, Any]]:
    """The rows that `update` works on."""
    return [{"id": account_id(number), "total": Decimal(0), "entries": 0} for number in range(ACCOUNTS)]
