"""A row is fetched by its key without writing first what cannot concern it, and never past what can."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import ForeignKey, event, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, column_property, mapped_column, relationship

from broker._database import Database, engine_for
from broker.testing.scratch import Databases


class Base(DeclarativeBase):
    """Tables of these tests."""


class Line(Base):
    __tablename__ = "lookup_line"

    id: Mapped[int] = mapped_column(primary_key=True)
    bill_id: Mapped[int] = mapped_column(ForeignKey("lookup_bill.id", deferrable=True, initially="DEFERRED"))


class Bill(Base):
    __tablename__ = "lookup_bill"

    id: Mapped[int] = mapped_column(primary_key=True)
    total: Mapped[int]


class BillWithLines(Base):
    __table__ = Bill.__table__
    lines: Mapped[list[Line]] = relationship(lazy="selectin", viewonly=True)


class BillWithFirstLine(Base):
    __table__ = Bill.__table__
    first_line = column_property(
        select(func.min(Line.id)).where(Line.bill_id == Bill.id).correlate(Bill.__table__).scalar_subquery()
    )


@pytest.fixture
async def database(database: Databases) -> AsyncIterator[Database]:
    engine = engine_for(await database())
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    made = Database(engine, None)
    async with made.transaction() as session:
        session.add_all([Bill(id=number, total=0) for number in range(3)])
    yield made
    await made.close()


@pytest.fixture
def written(database: Database) -> list[str]:
    """The INSERT and UPDATE statements as they are sent."""
    sent: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool) -> None:
        if statement.startswith(("INSERT", "UPDATE")):
            sent.append(statement)

    event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    return sent


async def test_many_changes_are_one_write(database: Database, written: list[str]) -> None:
    """Fetch and change, fetch and change: what is pending of other tables and rows is written once, at the end."""
    async with database.transaction() as session:
        for number in range(3):
            (await session.get_one(Bill, number, with_for_update=True)).total += 1
            session.add(Line(id=number, bill_id=number))
        assert written == []
    assert [statement.split()[0] for statement in written] == ["UPDATE", "INSERT"]
    async with database.transaction() as session:
        assert (await session.scalars(select(Bill.total))).all() == [1, 1, 1]


async def test_a_change_is_not_read_over(database: Database) -> None:
    """Fetching a changed row once more, with a lock, keeps the change."""
    async with database.transaction() as session:
        (await session.get_one(Bill, 0)).total = 7
        assert (await session.get_one(Bill, 0, with_for_update=True)).total == 7
    async with database.transaction() as session:
        assert (await session.get_one(Bill, 0)).total == 7


async def test_what_is_new_is_found(database: Database) -> None:
    """A pending row of the same table is found, and what a deleted one was is not."""
    async with database.transaction() as session:
        session.add(Bill(id=9, total=9))
        assert (await session.get_one(Bill, 9)).total == 9
        await session.delete(await session.get_one(Bill, 1))
        assert await session.get(Bill, 1, with_for_update=True) is None


async def test_a_row_that_brings_others_along_sees_them(database: Database) -> None:
    """Relationships that are loaded with a row, and columns that are queries, see what is pending."""
    async with database.transaction() as session:
        session.add(Line(id=5, bill_id=2))
        assert [line.id for line in (await session.get_one(BillWithLines, 2)).lines] == [5]
    async with database.transaction() as session:
        session.add(Line(id=6, bill_id=1))
        assert (await session.get_one(BillWithFirstLine, 1)).first_line == 6


async def test_options_are_left_to_sqlalchemy(database: Database, written: list[str]) -> None:
    """Whoever asks for more than the row gets SQLAlchemy's own way."""
    async with database.transaction() as session:
        session.add(Line(id=6, bill_id=2))
        await session.get_one(Bill, 1, populate_existing=True)
        assert len(written) == 1


async def test_a_lent_session_looks_up_alike(database: Database, written: list[str]) -> None:
    """Handlers have it too."""
    async with database.lent() as session:
        assert isinstance(session, AsyncSession)
        session.add(Line(id=7, bill_id=2))
        await session.get_one(Bill, 1)
        assert written == []
