"""Documents and their versions, which triggers keep as they are."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from services.ehr.rules import MediaType
from services.ehr.tables.base import Base, OfPatient


class Document(OfPatient, Base):
    """A document in a patient's record. Its row is the lock for its versions."""

    __tablename__ = "clinical_documents"

    document_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    encounter_id: Mapped[UUID | None] = mapped_column(index=True)
    title: Mapped[str]
    version: Mapped[int] = mapped_column(comment="the newest")
    attached_at: Mapped[datetime] = mapped_column(comment="the newest version")


class DocumentVersion(Base):
    """What a document says, since then."""

    __tablename__ = "clinical_document_versions"

    document_id: Mapped[UUID] = mapped_column(ForeignKey("clinical_documents.document_id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    media_type: Mapped[MediaType]
    size: Mapped[int] = mapped_column(comment="bytes")
    content_hash: Mapped[str] = mapped_column(comment="SHA-256, in hexadecimal")
    content: Mapped[str] = mapped_column(comment="as it came, byte for byte, because it is hashed")
    attached_by: Mapped[UUID] = mapped_column(index=True)
    attached_at: Mapped[datetime]
