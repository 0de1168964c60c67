"""Gapless numbers: whoever draws one keeps the others out until the transaction ends, and an undone one was never drawn."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from services.billing.tables.base import Base


class Counter:
    """A mixin for a facility's last number of one kind."""

    facility_id: Mapped[UUID] = mapped_column(primary_key=True)
    last: Mapped[int]

    @classmethod
    async def draw(cls, session: AsyncSession, facility_id: UUID) -> int:
        """The facility's next number."""
        counter = insert(cls).values(facility_id=facility_id, last=1)
        advanced = counter.on_conflict_do_update(index_elements=[cls.facility_id], set_={"last": cls.last + 1})
        return (await session.scalars(advanced.returning(cls.last))).one()


class InvoiceNumber(Counter, Base):
    """The last invoice number of a facility."""

    __tablename__ = "invoice_numbers"


class CreditNoteNumber(Counter, Base):
    """The last credit note number of a facility."""

    __tablename__ = "credit_note_numbers"
