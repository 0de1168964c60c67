"""Critical results, and the calls that are made for them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from services.lab.rules import CALL_BACK, CallBackStatus
from services.lab.tables.base import Base


class CriticalCallBack(Base):
    """That somebody has to be called for a critical result, and until when."""

    __tablename__ = "critical_call_backs"
    __table_args__ = (Index("critical_call_backs_worklist", "facility_id", "status", "due_at", "result_id"),)

    result_id: Mapped[UUID] = mapped_column(ForeignKey("lab_results.result_id"), primary_key=True)
    facility_id: Mapped[UUID]
    status: Mapped[CallBackStatus]
    due_at: Mapped[datetime]
    escalations: Mapped[int] = mapped_column(comment="how often it was said that it is overdue")

    def become(self, status: CallBackStatus) -> None:
        """Moves to another state. Raises CallBackCannotBecome."""
        self.status = CALL_BACK.moved(self.status, status)


class CriticalCall(Base):
    """A call in which the result was read back as it is."""

    __tablename__ = "critical_calls"

    call_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    result_id: Mapped[UUID] = mapped_column(ForeignKey("lab_results.result_id"), index=True)
    called_by: Mapped[UUID | None] = mapped_column(comment="the user who called; null where nobody is known")
    callee_id: Mapped[UUID | None] = mapped_column(comment="the user who was called")
    callee_role: Mapped[str | None] = mapped_column(comment="who was called, where it is not known which user")
    called_at: Mapped[datetime]
    was_late: Mapped[bool]
