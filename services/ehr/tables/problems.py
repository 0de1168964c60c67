"""Problems, and the diagnoses that put them on the list."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from services.ehr import rules
from services.ehr.rules import DiagnosisStatus, ProblemStatus
from services.ehr.tables.base import Base, OfPatient


class Problem(OfPatient, Base):
    """Something that a patient has, and that is dealt with over time."""

    __tablename__ = "problem_lists"

    problem_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    code: Mapped[str] = mapped_column(comment="ICD-10-CM")
    description: Mapped[str | None]
    status: Mapped[ProblemStatus]
    added_at: Mapped[datetime]
    added_by: Mapped[UUID | None] = mapped_column(index=True, comment="null where a diagnosis did")
    resolved_at: Mapped[datetime | None]
    resolved_by: Mapped[UUID | None] = mapped_column(index=True, comment="null where a diagnosis did")

    def become(self, status: ProblemStatus) -> None:
        """Moves to another state. Raises ProblemCannotBecome."""
        self.status = rules.PROBLEM.moved(self.status, status)


class DiagnosisEntry(OfPatient, Base):
    """A diagnosis of clinical as the record shows it; the problem is the one that it put on the list, or found there."""

    __tablename__ = "diagnosis_entries"

    diagnosis_id: Mapped[UUID] = mapped_column(primary_key=True)
    encounter_id: Mapped[UUID | None]
    code: Mapped[str] = mapped_column(comment="ICD-10-CM")
    status: Mapped[DiagnosisStatus]
    recorded_at: Mapped[datetime]
    problem_id: Mapped[UUID | None] = mapped_column(ForeignKey("problem_lists.problem_id"), index=True)
