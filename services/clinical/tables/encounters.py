"""When patients are here, and what they wait for before they go."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Index, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from broker import StateOwner, publishes_state
from contracts.clinical import EncounterChanged, EncounterClass, EncounterStatus
from contracts.lab import Priority
from services.clinical import rules
from services.clinical.tables.base import Base
from services.clinical.tables.patients import OfPatient


@publishes_state(EncounterChanged)
class Encounter(StateOwner, OfPatient):
    """A patient's visit or stay."""

    __tablename__ = "encounters"
    __table_args__ = (
        Index(
            "encounters_one_open_stay_key",
            "patient_id",
            unique=True,
            postgresql_where=text("admitted_at IS NOT NULL AND status = 'in_progress'"),
        ),
    )

    encounter_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    encounter_class: Mapped[EncounterClass]
    status: Mapped[EncounterStatus]
    planned_at: Mapped[datetime]
    arrived_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    discharged_at: Mapped[datetime | None]
    cancelled_at: Mapped[datetime | None]
    ward_id: Mapped[UUID | None] = mapped_column(comment="where an inpatient is to lie, if anywhere in particular")
    isolation: Mapped[bool] = mapped_column(default=False, comment="whether an inpatient needs a single room")
    admitted_at: Mapped[datetime | None]
    bed_id: Mapped[UUID | None] = mapped_column(comment="where an inpatient lies")
    discharge_requested_at: Mapped[datetime | None]
    override_reason: Mapped[str | None] = mapped_column(comment="why an inpatient went although orders were open")
    reason: Mapped[str | None] = mapped_column(comment="why it was cancelled or entered in error")

    def become(self, status: EncounterStatus) -> None:
        """Moves to another state. Raises EncounterCannotBecome."""
        self.status = rules.ENCOUNTER.moved(self.status, status)

    @classmethod
    async def open_stays(cls, session: AsyncSession, *patients: UUID) -> int:
        """How many stays these patients were admitted for and have not ended."""
        stays = [cls.admitted_at.is_not(None), cls.status == "in_progress", cls.patient_id.in_(patients)]
        return await session.scalar(select(func.count()).select_from(cls).where(*stays)) or 0


class EncounterOrder(Base):
    """What clinical knows of a lab order of an encounter, from whichever of its events came first."""

    __tablename__ = "encounter_orders"

    order_id: Mapped[UUID] = mapped_column(primary_key=True)
    encounter_id: Mapped[UUID | None] = mapped_column(index=True)
    priority: Mapped[Priority | None]
    closed_at: Mapped[datetime | None]

    @classmethod
    async def told(cls, session: AsyncSession, order_id: UUID, **known: Any) -> None:
        """Adds what an event says to what is known."""
        row = insert(cls).values(order_id=order_id, **known)
        await session.execute(row.on_conflict_do_update(index_elements=[cls.order_id], set_=known))

    @classmethod
    async def blocking(cls, session: AsyncSession, encounter_id: UUID) -> Sequence[UUID]:
        """The open orders that an inpatient waits for."""
        waits = [cls.encounter_id == encounter_id, cls.priority.in_(rules.BLOCKS_DISCHARGE), cls.closed_at.is_(None)]
        return (await session.scalars(select(cls.order_id).where(*waits).order_by(cls.order_id))).all()
