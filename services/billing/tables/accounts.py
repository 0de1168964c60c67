"""Whom billing is about: patients' accounts, and encounters that are billed for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Self
from uuid import UUID

from sqlalchemy import func, literal, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from broker import clock
from services.billing.tables.base import Base


class BillingAccount(Base):
    """A patient's account. One that was merged points to where everything of it went.

    That is a merge which is carried out here, under the account's lock. What clinical says of the patient comes over another
    queue, sooner or later than this: whoever followed that would look for money where it is not yet, or not any more.
    """

    __tablename__ = "billing_accounts"

    patient_id: Mapped[UUID] = mapped_column(primary_key=True)
    facility_id: Mapped[UUID]
    merged_into: Mapped[UUID | None] = mapped_column(index=True)
    opened_at: Mapped[datetime]

    @classmethod
    async def opened(cls, session: AsyncSession, patient_id: UUID, facility_id: UUID, *, alone: bool = False) -> Self:
        """The patient's account, opened if there is none yet.

        It is locked so that the patient cannot be merged meanwhile; `alone` keeps everybody else out, to merge.
        """
        query = select(cls).where(cls.patient_id == patient_id).with_for_update(read=not alone)
        query = query.execution_options(populate_existing=True)
        account = await session.scalar(query)
        if account is not None:
            return account
        row = {"patient_id": patient_id, "facility_id": facility_id, "opened_at": clock.now()}
        await session.execute(insert(cls).values(row).on_conflict_do_nothing())
        return (await session.scalars(query)).one()

    @classmethod
    async def all_held(cls, session: AsyncSession, patient_ids: Iterable[UUID]) -> None:
        """Keeps these patients, and whom they were merged into, from being merged or parted until the transaction ends.

        Whoever was merged is locked before whom they were merged into, as by who takes a merge back.
        """
        line = select(cls.patient_id, cls.merged_into, literal(0).label("steps")).where(cls.patient_id.in_(set(patient_ids)))
        lines = line.cte(recursive=True)
        onwards = select(cls.patient_id, cls.merged_into, lines.c.steps + 1)
        lines = lines.union_all(onwards.join(lines, cls.patient_id == lines.c.merged_into))
        steps = func.max(lines.c.steps).label("steps")
        reached = select(lines.c.patient_id, steps).group_by(lines.c.patient_id).subquery()
        query = select(cls.patient_id).join(reached, cls.patient_id == reached.c.patient_id)
        in_order = query.order_by(reached.c.steps, cls.patient_id)
        await session.execute(in_order.with_for_update(read=True, of=cls))

    @classmethod
    async def identities(cls, session: AsyncSession, patient_id: UUID) -> Sequence[UUID]:
        """The patient and, over several merges too, whoever was merged into them."""
        merged = select(cls.patient_id).where(cls.merged_into == patient_id).cte(recursive=True)
        merged = merged.union(select(cls.patient_id).join(merged, cls.merged_into == merged.c.patient_id))
        return [patient_id, *await session.scalars(select(merged.c.patient_id))]


class EncounterBill(Base):
    """An encounter that is billed for: the lock under which its charges come in and are invoiced."""

    __tablename__ = "encounter_bills"

    encounter_id: Mapped[UUID] = mapped_column(primary_key=True)
    discharged_at: Mapped[datetime | None]
    cancelled_at: Mapped[datetime | None] = mapped_column(comment="when it turned out that it did not take place")

    @classmethod
    async def is_cancelled(cls, session: AsyncSession, encounter_id: UUID | None) -> bool:
        """Whether we heard that an encounter did not take place."""
        cancelled = select(cls.cancelled_at).where(cls.encounter_id == encounter_id, cls.cancelled_at.is_not(None))
        return await session.scalar(cancelled) is not None

    @classmethod
    async def locked(cls, session: AsyncSession, encounter_id: UUID) -> Self:
        """The row of an encounter, made if there is none yet, for this transaction alone."""
        await session.execute(insert(cls).values(encounter_id=encounter_id).on_conflict_do_nothing())
        query = select(cls).where(cls.encounter_id == encounter_id).with_for_update()
        return (await session.scalars(query.execution_options(populate_existing=True))).one()
