"""What people found out of payments that their provider's answer was lost of."""

from __future__ import annotations

from datetime import datetime
from typing import Self
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, Index, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from services.payment import rules
from services.payment.tables.base import Base


class PaymentTrace(Base):
    """What somebody found in the provider's books of a lost payment: what it is called there, or that it is not there."""

    __tablename__ = "payment_traces"
    __table_args__ = (
        Index("payment_traces_undecided", "payment_id", unique=True, postgresql_where=text("status = 'found'")),
        Index(None, "facility_id", "status"),
    )

    trace_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    payment_id: Mapped[UUID] = mapped_column(ForeignKey("payments.payment_id"), index=True)
    facility_id: Mapped[UUID]
    provider_payment_id: Mapped[str | None] = mapped_column(comment="null: it was not paid")
    status: Mapped[rules.TraceStatus]
    traced_by: Mapped[str]
    traced_at: Mapped[datetime]
    decided_by: Mapped[str | None] = mapped_column(comment="who confirmed it, somebody else; or refused it")
    decided_at: Mapped[datetime | None]

    def move(self, to: rules.TraceStatus) -> None:
        """Changes its state. Raises TraceCannotBecome."""
        self.status = rules.TRACE.moved(self.status, to)

    @classmethod
    async def undecided(cls, session: AsyncSession, payment_id: UUID) -> Self | None:
        """What waits for a decision of a payment, for this transaction alone."""
        found = select(cls).where(cls.payment_id == payment_id, cls.status == "found").with_for_update()
        return (await session.scalars(found.execution_options(populate_existing=True))).one_or_none()
