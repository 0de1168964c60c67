"""Encounters that need a bed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Self
from uuid import UUID

from sqlalchemy import ForeignKey, Index, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from services.facility import rules
from services.facility.rules import RequestStatus
from services.facility.tables.base import Base


class BedRequest(Base):
    """What an encounter needs. One that ended before we heard that it began is closed from the start, and gets nothing."""

    __tablename__ = "bed_requests"
    __table_args__ = (
        Index("bed_requests_waiting", "facility_id", "requested_at", postgresql_where=text("status = 'waiting'")),
    )

    encounter_id: Mapped[UUID] = mapped_column(primary_key=True)
    patient_id: Mapped[UUID] = mapped_column(index=True)
    recorded_for: Mapped[UUID] = mapped_column(index=True, comment="whose it is again when a merge is taken back")
    facility_id: Mapped[UUID]
    ward_id: Mapped[UUID | None] = mapped_column(ForeignKey("wards.ward_id"), comment="null: any that is fit")
    isolation: Mapped[bool]
    status: Mapped[RequestStatus]
    requested_at: Mapped[datetime]

    def become(self, status: RequestStatus) -> None:
        """Moves to another state. Raises BedRequestCannotBecome."""
        self.status = rules.REQUEST.moved(self.status, status)

    @classmethod
    async def waiting_at(cls, session: AsyncSession, facility_id: UUID, *, isolation_first: bool) -> Sequence[Self]:
        """Those who wait, in the order in which they are served: who has waited longest first."""
        waiting = select(cls).where(cls.facility_id == facility_id, cls.status == "waiting")
        by = [cls.isolation.desc()] if isolation_first else []
        return (await session.scalars(waiting.order_by(*by, cls.requested_at, cls.encounter_id))).all()
