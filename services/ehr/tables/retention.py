"""What stays of users who are gone."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Text, cast, text, true
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from services.ehr.tables.base import Base


class Retention(Base):
    """What an erased user wrote and signed stays, under a bare id that nobody can be told by; and why."""

    __tablename__ = "retentions"

    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    entries: Mapped[int] = mapped_column(comment="notes, addenda, cosignatures, documents and problems of theirs")
    entries_at: Mapped[dict[str, int]] = mapped_column(JSONB, server_default=text("'{}'"), comment="how many, by facility")
    reason: Mapped[str]
    erased_at: Mapped[datetime]

    @classmethod
    def at_any(cls, facilities: Collection[UUID] | None) -> ColumnElement[bool]:
        """The condition for users of whom something is kept at one of these facilities; at any, for None."""
        if facilities is None:
            return true()
        found: ColumnElement[bool] = cls.entries_at.has_any(cast([str(facility) for facility in facilities], ARRAY(Text)))
        return found

    def counted_at(self, facilities: Collection[UUID] | None) -> int:
        """How many entries of theirs are kept at these facilities; at all, for None."""
        if facilities is None:
            return self.entries
        return sum(self.entries_at.get(str(facility), 0) for facility in facilities)
