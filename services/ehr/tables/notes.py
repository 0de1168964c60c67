"""Notes, and what is signed beside them. Triggers keep what was signed from being changed, whoever tries."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from contracts.ehr import NoteKind
from services.ehr import rules
from services.ehr.rules import Content, NoteStatus
from services.ehr.tables.base import Base, OfPatient


class Note(OfPatient, Base):
    """What somebody wrote about a patient in an encounter. Its row is the lock for all that happens to it."""

    __tablename__ = "notes"
    __table_args__ = (Index(None, "facility_id", "status", "cosign_due_at"),)
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_abstract": True}  # noqa: RUF012 (read by SQLAlchemy)

    note_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    kind: Mapped[NoteKind]
    encounter_id: Mapped[UUID] = mapped_column(index=True)
    author_id: Mapped[UUID] = mapped_column(index=True, comment="the user's bare id, which stays when the user is erased")
    status: Mapped[NoteStatus]
    drafted_at: Mapped[datetime]
    signed_at: Mapped[datetime | None]
    content_hash: Mapped[str | None] = mapped_column(comment="SHA-256, in hexadecimal")
    cosign_due_at: Mapped[datetime | None]
    overdue_at: Mapped[datetime | None] = mapped_column(comment="when nobody had cosigned in time")
    marked_at: Mapped[datetime | None]
    marked_by: Mapped[UUID | None] = mapped_column(index=True)
    reason: Mapped[str | None] = mapped_column(comment="why it was entered in error")
    addenda: Mapped[list[Addendum]] = relationship(lazy="selectin", order_by="Addendum.number")
    cosignature: Mapped[Cosignature | None] = relationship(lazy="selectin")

    def become(self, status: NoteStatus) -> None:
        """Moves to another state. Raises NoteCannotBecome."""
        self.status = rules.NOTE.moved(self.status, status)

    def write(self, content: Content) -> None:
        """Takes over what it is to say."""
        for name, value in asdict(content).items():
            setattr(self, name, value)

    @property
    def content(self) -> dict[str, str]:
        """What it says, by its parts."""
        raise NotImplementedError


class SoapNote(Note):
    """A note in four parts: subjective, objective, assessment, plan."""

    __tablename__ = "soap_notes"
    __mapper_args__ = {"polymorphic_identity": "soap", "polymorphic_load": "selectin"}  # noqa: RUF012 (read by SQLAlchemy)

    note_id: Mapped[UUID] = mapped_column(ForeignKey("notes.note_id"), primary_key=True)
    subjective: Mapped[str]
    objective: Mapped[str]
    assessment: Mapped[str]
    plan: Mapped[str]

    @property
    def content(self) -> dict[str, str]:
        return {part: getattr(self, part) for part in ("subjective", "objective", "assessment", "plan")}


class ProgressNote(Note):
    """A note on how a patient is doing."""

    __tablename__ = "progress_notes"
    __mapper_args__ = {"polymorphic_identity": "progress", "polymorphic_load": "selectin"}  # noqa: RUF012 (read by SQLAlchemy)

    note_id: Mapped[UUID] = mapped_column(ForeignKey("notes.note_id"), primary_key=True)
    text: Mapped[str]

    @property
    def content(self) -> dict[str, str]:
        return {"text": self.text}


class Addendum(Base):
    """What was added to a note after it was signed."""

    __tablename__ = "addenda"
    __table_args__ = (UniqueConstraint("note_id", "number"),)

    addendum_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    note_id: Mapped[UUID] = mapped_column(ForeignKey("notes.note_id"))
    number: Mapped[int] = mapped_column(comment="from 1, in the order of writing")
    author_id: Mapped[UUID] = mapped_column(index=True)
    text: Mapped[str]
    written_at: Mapped[datetime]
    content_hash: Mapped[str] = mapped_column(comment="SHA-256, over the hash before it too")


class Cosignature(Base):
    """The second signature under a trainee's note."""

    __tablename__ = "cosignatures"

    note_id: Mapped[UUID] = mapped_column(ForeignKey("notes.note_id"), primary_key=True)
    cosigner_id: Mapped[UUID] = mapped_column(index=True)
    content_hash: Mapped[str] = mapped_column(comment="of the note, as the cosigner read it")
    cosigned_at: Mapped[datetime]
