"""The base of a service's tables."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Numeric, UniqueConstraint
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.schema import CreateTable

from broker import NotFound, Principal, Tables, visible
from broker._database import Database, engine_for
from broker.testing.scratch import Databases

DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]
Colour = Literal["red", "green"]


class Base(Tables, DeclarativeBase):
    """Every table of a garden."""

    type_annotation_map = {Decimal: Numeric(10, 2)}  # noqa: RUF012 (read by SQLAlchemy from the class)


class Flower(Base):
    __tablename__ = "flowers"
    __table_args__ = (UniqueConstraint("name", "colour"),)

    flower_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str]
    colour: Mapped[Colour | None]
    price: Mapped[Decimal]
    seen_at: Mapped[datetime | None]
    words: Mapped[list[str]]


class Bench(Base):
    __tablename__ = "benches"

    bench_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    facility_id: Mapped[UUID]


class Other(Tables, DeclarativeBase):
    """Every table of somebody else."""


def test_types_and_names() -> None:
    """A literal is text, times have zones, lists are JSON, and constraints are named as PostgreSQL does."""
    types = {column.name: column.type.compile(DIALECT) for column in Flower.__table__.columns}
    assert types == {
        "flower_id": "UUID",
        "name": "TEXT",
        "colour": "TEXT",
        "price": "NUMERIC(10, 2)",
        "seen_at": "TIMESTAMP WITH TIME ZONE",
        "words": "JSONB",
    }
    said = str(CreateTable(Flower.metadata.tables["flowers"]))
    assert "CONSTRAINT flowers_name_colour_key UNIQUE" in said
    assert "CONSTRAINT flowers_pkey PRIMARY KEY" in said


def test_each_service_has_tables_of_its_own() -> None:
    """Nothing of one base is in the other's metadata."""
    assert list(Base.metadata.tables) == ["flowers", "benches"]
    assert list(Other.metadata.tables) == []


async def test_rows(database: Databases) -> None:
    """A row is found by its key, to see, to hold and to change; what is not there is NotFound."""
    work = Database(engine_for(await database()), publisher=None)
    async with work.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    flower = Flower(name="rose", colour="red", price=Decimal("1.50"), words=["thorn"])
    async with work.transaction() as session:
        session.add(flower)
    async with work.transaction() as session:
        for way in (Flower.seen, Flower.held, Flower.locked):
            assert (await way(session, flower.flower_id)).words == ["thorn"]
            with pytest.raises(NotFound):
                await way(session, uuid4())
    await work.close()


async def test_what_a_token_may_see(database: Databases) -> None:
    """The rows of its facilities, or of every one; another facility's is as little there as one that does not exist."""
    work = Database(engine_for(await database()), publisher=None)
    async with work.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    bench = Bench(facility_id=uuid4())
    here, elsewhere = [Principal("nurse", frozenset(), frozenset({id_})) for id_ in (bench.facility_id, uuid4())]
    async with work.transaction() as session:
        session.add(bench)
    async with work.transaction() as session:
        for who in (here, Principal("nurse", frozenset(), None)):
            assert (await visible(session, who, Bench, bench.bench_id)).bench_id == bench.bench_id
        for who, key in ((elsewhere, bench.bench_id), (here, uuid4())):
            with pytest.raises(NotFound):
                await visible(session, who, Bench, key)
    await work.close()
