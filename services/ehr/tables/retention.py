"""What stays of users who are gone."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Mapped, mapped_column

from services.ehr.tables.base import Base


class Retention(Base):
    """What an erased user wrote and signed stays, under a bare id that nobody can be told by; and why."""

    __tablename__ = "retentions"

    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    entries: Mapped[int] = mapped_column(comment="notes, addenda, cosignatures, documents and problems of theirs")
    reason: Mapped[str]
    erased_at: Mapped[datetime]
