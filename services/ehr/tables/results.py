"""Lab results as the record shows them: what each says, and what it said before."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from contracts.lab import Flag, ResultStatus
from services.ehr import rules
from services.ehr.rules import Said
from services.ehr.tables.base import Base, OfPatient


class Result(OfPatient, Base):
    """A result of the lab in a patient's record, with all that was ever said of it."""

    __tablename__ = "results"

    result_id: Mapped[UUID] = mapped_column(primary_key=True)
    order_id: Mapped[UUID]
    encounter_id: Mapped[UUID | None]
    test_code: Mapped[str] = mapped_column(comment="LOINC")
    test_name: Mapped[str]
    first_entered_at: Mapped[datetime]
    entries: Mapped[list[ResultEntry]] = relationship(
        lazy="selectin", order_by="(ResultEntry.resulted_at, ResultEntry.entered_at)"
    )

    @property
    def current(self) -> ResultEntry:
        """What it says now, in whatever order the lab's words arrived."""
        return self.entries[-1]

    @property
    def predecessors(self) -> list[Said]:
        """What it said before, the oldest first."""
        return rules.predecessors(self.entries)


class ResultEntry(Base):
    """What the lab said of a result, once."""

    __tablename__ = "result_entries"

    entry_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    result_id: Mapped[UUID] = mapped_column(ForeignKey("results.result_id"), index=True)
    source_event_id: Mapped[UUID] = mapped_column(index=True)
    entered_at: Mapped[datetime]
    value: Mapped[Decimal | None]
    text_value: Mapped[str | None]
    unit: Mapped[str] = mapped_column(comment="UCUM")
    reference_low: Mapped[Decimal | None]
    reference_high: Mapped[Decimal | None]
    flag: Mapped[Flag | None]
    is_critical: Mapped[bool]
    status: Mapped[ResultStatus]
    resulted_at: Mapped[datetime]
    previous_value: Mapped[Decimal | None] = mapped_column(comment="what a correction says was there before")
    previous_text_value: Mapped[str | None]
    reason: Mapped[str | None] = mapped_column(comment="why it was corrected")
