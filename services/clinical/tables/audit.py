"""Who did what is not everyday, and why."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Self
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, Index, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from services.clinical import rules
from services.clinical.rules import BreakGlassStatus
from services.clinical.tables.base import Base
from services.clinical.tables.patients import OfPatient

AuditAction = Literal[
    "glass_broken",
    "seen_behind_glass",
    "break_glass_reviewed",
    "discharge_overridden",
    "patient_merged",
    "patient_unmerged",
    "duplicate_dismissed",
]


class AuditEntry(Base):
    """A line of the audit log. It is never changed or deleted, and stays with the record that it was about."""

    __tablename__ = "audit_log"
    __table_args__ = (Index(None, "facility_id", "occurred_at", "audit_id"),)

    audit_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    occurred_at: Mapped[datetime]
    action: Mapped[AuditAction]
    actor: Mapped[str] = mapped_column(comment="the subject of the token, or the service itself")
    facility_id: Mapped[UUID]
    patient_id: Mapped[UUID] = mapped_column(ForeignKey("patients.patient_id"), index=True)
    subject_id: Mapped[UUID] = mapped_column(comment="the encounter, record, review or grant that it was done to")
    reason: Mapped[str | None]
    part: Mapped[str | None] = mapped_column(comment="the table of the record that was seen or written behind the glass")


class BreakGlass(OfPatient):
    """A record opened by somebody who has no place at its facility, for a short time: unreviewed → justified or unjustified."""

    __tablename__ = "break_glass"
    __table_args__ = (Index(None, "opened_by", "expires_at"), Index(None, "facility_id", "opened_at", "grant_id"))

    grant_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    opened_by: Mapped[str] = mapped_column(comment="the subject of the token")
    reason: Mapped[str]
    opened_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    status: Mapped[BreakGlassStatus]
    reviewed_at: Mapped[datetime | None]
    reviewed_by: Mapped[str | None]

    @classmethod
    async def open_to(cls, session: AsyncSession, user: str, patient_id: UUID, *, at: datetime) -> Self | None:
        """What lets this user see the record at that time, if anything does: where two do, the one that does so for longer."""
        grants = [cls.opened_by == user, cls.patient_id == patient_id, cls.expires_at > at]
        found: Self | None = await session.scalar(select(cls).where(*grants).order_by(cls.expires_at.desc()).limit(1))
        return found

    def review(self, status: BreakGlassStatus, *, by: str, at: datetime) -> None:
        """Says whether it was justified. Raises BreakGlassCannotBecome."""
        self.status = rules.BREAK_GLASS.moved(self.status, status)
        self.reviewed_by, self.reviewed_at = by, at
