"""Replicas of what can turn out to be one: a merged aggregate stays, and redirects to the one that lives on.

    class CustomerReference(MergingReplica[CustomerChanged], Base):
        __tablename__ = "customer_reference"

        name: Mapped[str]

The contract says where to in its field `merged_into`.
"""

from __future__ import annotations

from typing import Self
from uuid import UUID

from sqlalchemy import Uuid, literal, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from broker._replicas import Replica, State
from broker.errors import Later


class MergingReplica(Replica[State]):
    """A mixin for the table of a replica whose aggregates are merged into one another."""

    merged_into: Mapped[UUID | None] = mapped_column(index=True)

    @classmethod
    async def current(cls, session: AsyncSession, key: UUID) -> Self:
        """The one that `key` stands for now: merges are followed.

        Raises NotYet, NotFound, and Later where the states of a merge and of one taken back meet in a circle: the newer is on
        its way.
        """
        row, passed = await cls.require(session, key), {key}
        while row.merged_into is not None:
            if row.merged_into in passed:
                raise Later(f"{cls.__tablename__} {key} is merged in a circle")
            passed.add(row.merged_into)
            row = await cls.require(session, row.merged_into)
        return row

    @classmethod
    async def identities(cls, session: AsyncSession, key: UUID) -> list[UUID]:
        """Every id under which something of this one may be kept: its own, and those that were merged into it."""
        found = select(literal(key, Uuid).label("id")).cte(recursive=True)
        found = found.union(select(cls.id).join(found, cls.merged_into == found.c.id))
        return list(await session.scalars(select(found.c.id)))
