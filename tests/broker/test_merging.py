"""Replicas whose aggregates are merged: whom an id stands for, and under which ids something may be kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped

from broker import Later, MergingReplica, NotYet, Tables, clock
from broker._database import Database, engine_for
from broker.testing.scratch import Databases
from contracts.event import StateEvent


class CustomerChanged(StateEvent, name="customer.changed", version=1, key="customer_id", publisher="shop"):
    """A customer as others may know them."""

    customer_id: UUID
    name: str
    merged_into: UUID | None


class Base(Tables, DeclarativeBase):
    """The subscriber's tables."""


class CustomerReference(MergingReplica[CustomerChanged], Base):
    """A copy of a customer."""

    __tablename__ = "customer_reference"

    name: Mapped[str]


@pytest.fixture
async def session(database: Databases) -> AsyncIterator[AsyncSession]:
    work = Database(engine_for(await database()), publisher=None)
    async with work.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with work.transaction() as session:
        yield session
    await work.close()


async def known(session: AsyncSession, key: UUID, merged_into: UUID | None = None) -> None:
    now = clock.now()
    of_replica = {"state_version": 1, "deleted": False, "changed_at": now, "received_at": now}
    session.add(CustomerReference(id=key, name="Amal", merged_into=merged_into, **of_replica))
    await session.flush()


async def test_merges_are_followed_both_ways(session: AsyncSession) -> None:
    """From each id to the one that lives on, and from that one back to all; others stay out of it."""
    first, second, third, other = [uuid4() for _ in range(4)]
    for key, into in ((first, second), (second, third), (third, None), (other, None)):
        await known(session, key, into)
    assert {(await CustomerReference.current(session, key)).id for key in (first, second, third)} == {third}
    assert set(await CustomerReference.identities(session, third)) == {first, second, third}
    assert set(await CustomerReference.identities(session, second)) == {first, second}
    assert await CustomerReference.identities(session, other) == [other]


async def test_what_has_not_arrived_is_waited_for(session: AsyncSession) -> None:
    """NotYet names the one that is missing, wherever it stands in the chain; its identities are known all the same."""
    merged, missing = uuid4(), uuid4()
    await known(session, merged, missing)
    with pytest.raises(NotYet) as waits:
        await CustomerReference.current(session, merged)
    assert waits.value.key == str(missing)
    assert set(await CustomerReference.identities(session, missing)) == {merged, missing}


async def test_a_circle_does_not_hang(session: AsyncSession) -> None:
    """Two states that contradict each other while a newer one is on its way: Later, and no endless walk."""
    one, other = uuid4(), uuid4()
    await known(session, one, other)
    await known(session, other, one)
    with pytest.raises(Later):
        await CustomerReference.current(session, one)
    assert set(await CustomerReference.identities(session, one)) == {one, other}


def test_where_it_redirects_to_comes_with_the_state() -> None:
    """The replica keeps the contract's `merged_into` like any column of its own."""
    event = CustomerChanged(customer_id=uuid4(), name="Amal", merged_into=uuid4(), state_version=1)
    assert CustomerReference.kept(event) == {"name": "Amal", "merged_into": event.merged_into}
    assert CustomerReference.subscription().name == "customer_reference"
