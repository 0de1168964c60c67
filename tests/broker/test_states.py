"""Published state: one state event per aggregate and transaction, with a version that only grows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import ForeignKey, delete, insert, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from broker import DeclarationError, Overtaken, StateBypassed, StateOwner, publishes_state, touch
from broker._context import uuid7
from broker._database import Database, engine_for
from broker.testing.scratch import Databases
from contracts.event import StateEvent


class ShelfChanged(StateEvent, name="shelf.changed", version=1, key="shelf_id", publisher="store"):
    """A shelf as others may know it."""

    shelf_id: UUID
    name: str
    boxes: int


class RoomChanged(StateEvent, name="room.changed", version=1, key="room_id", publisher="store"):
    """A room as others may know it."""

    room_id: UUID
    name: str


class Base(DeclarativeBase):
    """The owner's tables."""


@publishes_state(ShelfChanged)
class Shelf(StateOwner, Base):
    """A shelf, whose public state counts its boxes."""

    __tablename__ = "shelf"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    name: Mapped[str] = mapped_column(unique=True)
    boxes: Mapped[list[Box]] = relationship(cascade="all, delete-orphan", lazy="selectin")

    def to_state(self) -> ShelfChanged:
        """Its public state."""
        return ShelfChanged.of(self, shelf_id=self.id, boxes=len(self.boxes))


class Box(Base):
    """A box on a shelf."""

    __tablename__ = "box"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    shelf_id: Mapped[UUID] = mapped_column(ForeignKey("shelf.id"))


@publishes_state(RoomChanged)
class Room(StateOwner, Base):
    """A room, whose attributes are its public state."""

    __tablename__ = "room"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    name: Mapped[str]
    colour: Mapped[str] = mapped_column(default="white")


@pytest.fixture
async def store(database: Databases) -> AsyncIterator[Database]:
    """The owner's database."""
    engine = engine_for(await database())
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield Database(engine, "store")
    await engine.dispose()


@dataclass(frozen=True)
class Published:
    """What the outbox holds of one event."""

    key: str
    sequence: int
    body: dict[str, Any]


async def outbox(database: Database) -> list[Published]:
    """The outbox, in its order."""
    async with database.engine.connect() as connection:
        rows = await connection.execute(text("SELECT key, sequence, body FROM backbone.outbox ORDER BY position"))
        return [Published(row.key, row.sequence, json.loads(row.body)) for row in rows]


async def new_room(database: Database, name: str = "blue") -> UUID:
    """A room that is there."""
    async with database.transaction() as session:
        room = Room(name=name)
        session.add(room)
    return room.id


async def room(session: AsyncSession, key: UUID) -> Room:
    """The room of that id."""
    return (await session.scalars(select(Room).where(Room.id == key))).one()


async def test_created(store: Database) -> None:
    """A new object publishes its state, in the version that its row has."""
    key = await new_room(store)
    async with store.transaction() as session:
        version = (await room(session, key)).state_version
    assert await outbox(store) == [
        Published(str(key), version, {"room_id": str(key), "name": "blue", "state_version": version, "deleted": False})
    ]


async def test_one_event_with_final_state(store: Database) -> None:
    """However often a transaction changes and flushes an object, one event leaves and says how it then is."""
    key = await new_room(store)
    async with store.transaction() as session:
        mine = await room(session, key)
        for name in ("green", "red", "black"):
            mine.name = name
            await session.flush()
    published = await outbox(store)
    assert [event.body["name"] for event in published] == ["blue", "black"]
    assert published[0].sequence < published[1].sequence


async def test_no_change(store: Database) -> None:
    """Setting an attribute to what it is publishes nothing."""
    key = await new_room(store)
    async with store.transaction() as session:
        (await room(session, key)).name = "blue"
    assert len(await outbox(store)) == 1


async def test_rolled_back(store: Database) -> None:
    """A transaction that fails publishes no state."""
    with pytest.raises(ZeroDivisionError):
        async with store.transaction() as session:
            session.add(Room(name="never"))
            await session.flush()
            _ = 1 / 0
    assert await outbox(store) == []


async def test_rolled_back_savepoint(store: Database) -> None:
    """What a rolled back savepoint did to an object is not in its state; what was done around it is."""
    key = await new_room(store)
    async with store.transaction() as session:
        mine = await room(session, key)
        mine.name = "green"
        await session.flush()
        with pytest.raises(ZeroDivisionError):
            async with session.begin_nested():
                mine.name = "red"
                session.add(Room(name="never"))
                await session.flush()
                _ = 1 / 0
    async with store.transaction() as session:
        kept = await room(session, key)
        version = kept.state_version
    published = await outbox(store)
    assert [event.body["name"] for event in published] == ["blue", "green"]
    assert published[-1].sequence == version


async def test_savepoint_whose_flush_fails(store: Database) -> None:
    """A savepoint in which the database refuses a flush leaves no state, neither at once nor with the next flush."""
    async with store.transaction() as session:
        shelf = Shelf(name="kept")
        session.add(shelf)
        await session.flush()
        with pytest.raises(IntegrityError):
            async with session.begin_nested():
                session.add(Room(name="never"))
                await session.flush()
                session.add(Shelf(name="kept"))
                await session.flush()
        session.add(Box(shelf_id=shelf.id))
        await session.flush()
    assert [event.body["name"] for event in await outbox(store)] == ["kept"]


async def test_released_savepoint(store: Database) -> None:
    """Changes inside and outside a released savepoint are one event."""
    key = await new_room(store)
    async with store.transaction() as session:
        mine = await room(session, key)
        mine.name = "green"
        await session.flush()
        async with session.begin_nested():
            mine.name = "red"
    assert [event.body["name"] for event in await outbox(store)] == ["blue", "red"]


async def test_deleted_and_created_again(store: Database) -> None:
    """A deleted object leaves a tombstone of its last state; created again under its key, it is newer than that."""
    key = await new_room(store)
    async with store.transaction() as session:
        await session.delete(await room(session, key))
    async with store.transaction() as session:
        session.add(Room(id=key, name="back"))
    published = await outbox(store)
    assert [(event.body["name"], event.body["deleted"]) for event in published] == [
        ("blue", False),
        ("blue", True),
        ("back", False),
    ]
    assert sorted({event.sequence for event in published}) == [event.sequence for event in published]


async def test_replaced_in_one_transaction(store: Database) -> None:
    """Deleted and created again in one transaction, the object is there: one event, no tombstone."""
    key = await new_room(store)
    async with store.transaction() as session:
        await session.delete(await room(session, key))
        await session.flush()
        session.add(Room(id=key, name="back"))
    assert [(event.body["name"], event.body["deleted"]) for event in await outbox(store)] == [("blue", False), ("back", False)]


async def test_parts_touch_their_owner(store: Database) -> None:
    """A change in a collection publishes its owner's state when it is touched."""
    async with store.transaction() as session:
        shelf = Shelf(name="top", boxes=[Box()])
        session.add(shelf)
    async with store.transaction() as session:
        shelf = (await session.scalars(select(Shelf))).one()
        shelf.boxes.append(Box())
        touch(shelf)
    published = await outbox(store)
    assert [event.body["boxes"] for event in published] == [1, 2]
    assert published[0].sequence < published[1].sequence


async def test_touched_before_and_after(store: Database) -> None:
    """Touching works on a new object, and on one that a rolled back savepoint has expired."""
    async with store.transaction() as session:
        shelf = Shelf(name="top", boxes=[])
        session.add(shelf)
        touch(shelf)
        await session.flush()
        with pytest.raises(ZeroDivisionError):
            async with session.begin_nested():
                shelf.name = "bottom"
                await session.flush()
                _ = 1 / 0
        touch(shelf)
    async with store.transaction() as session:
        touched = (await session.scalars(select(Shelf))).one()
        touch(touched)
    assert [event.body["name"] for event in await outbox(store)] == ["top", "top"]


@pytest.mark.parametrize(
    "statement",
    [
        update(Room).values(name="x"),
        delete(Room),
        insert(Room).values(id=uuid7(), name="x", colour="x", state_version=1),
        update(Base.metadata.tables["room"]).values(name="x"),
    ],
    ids=["update", "delete", "insert", "table"],
)
async def test_bulk_is_refused(store: Database, statement: Any) -> None:
    """A bulk statement on a class that publishes its state is refused: replicas would never hear of it."""
    with pytest.raises(StateBypassed, match="Room"):
        async with store.transaction() as session:
            await session.execute(statement)


async def test_other_sessions_are_refused(store: Database) -> None:
    """A session that publishes nothing cannot change such an object."""
    with pytest.raises(StateBypassed):
        async with AsyncSession(store.engine) as session, session.begin():
            session.add(Room(name="x"))


async def test_stale_object(store: Database) -> None:
    """An object that another transaction changed after it was loaded is not written: its state would be a mixture."""
    key = await new_room(store)
    with pytest.raises(Overtaken):
        async with store.transaction() as session:
            mine = await room(session, key)
            async with store.transaction() as other:
                (await room(other, key)).colour = "grey"
            mine.name = "green"
    assert [event.body["name"] for event in await outbox(store)] == ["blue", "blue"]


async def test_versions_follow_commits(store: Database) -> None:
    """Under many writers of one object, who lock it or try again, versions and outbox have one order, and no state is lost."""
    key = await new_room(store, "0")

    async def add_one(locking: bool) -> None:
        while True:
            try:
                async with store.transaction() as session:
                    mine = await session.get_one(Room, key, with_for_update=locking or None)
                    mine.name = str(int(mine.name) + 1)
                return
            except Overtaken:
                continue

    await asyncio.gather(*(add_one(number % 2 == 0) for number in range(30)))
    published = await outbox(store)
    assert [event.body["name"] for event in published] == [str(number) for number in range(31)]
    assert sorted({event.sequence for event in published}) == [event.sequence for event in published]


async def test_created_while_deleted(store: Database) -> None:
    """Whoever creates a key again while its deletion is under way gets the newer version."""
    key = await new_room(store)

    async def again() -> None:
        async with store.transaction() as session:
            session.add(Room(id=key, name="again"))

    async with store.transaction() as session:
        await session.delete(await room(session, key))
        await session.flush()
        creating = asyncio.create_task(again())
    await creating
    published = await outbox(store)
    assert max(published, key=lambda event: event.sequence).body["name"] == "again"
    assert [event.body["deleted"] for event in published] == [False, True, False]


def test_declarations() -> None:
    """What cannot publish its state is refused with one sentence."""
    with pytest.raises(DeclarationError, match="let it inherit from StateOwner"):
        publishes_state(RoomChanged)(Box)  # type: ignore[type-var]

    class Hidden(StateOwner, Base):
        __tablename__ = "hidden"
        id: Mapped[int] = mapped_column(primary_key=True)
        deleted: Mapped[bool]

    with pytest.raises(DeclarationError, match="deleted when its row is"):
        publishes_state(RoomChanged)(Hidden)
    Base.metadata.remove(Hidden.__table__)  # type: ignore[arg-type]

    class Pair(StateOwner, Base):
        __tablename__ = "pair"
        left: Mapped[int] = mapped_column(primary_key=True)
        right: Mapped[int] = mapped_column(primary_key=True)

    with pytest.raises(DeclarationError, match="one primary key column"):
        publishes_state(RoomChanged)(Pair)
