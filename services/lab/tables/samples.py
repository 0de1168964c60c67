"""What was taken from patients."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from contracts.lab import RejectionReason
from services.lab.rules import SAMPLE, SampleStatus
from services.lab.tables.base import Base


class Sample(Base):
    """What was taken from a patient for some tests of an order."""

    __tablename__ = "samples"

    sample_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    order_id: Mapped[UUID] = mapped_column(ForeignKey("lab_orders.order_id"), index=True)
    facility_id: Mapped[UUID]
    status: Mapped[SampleStatus]
    identifiers: Mapped[list[str]] = mapped_column(comment="which identifiers of the patient its label shows")
    rejection_reason: Mapped[RejectionReason | None]
    collected_at: Mapped[datetime]
    received_at: Mapped[datetime | None]
    accepted_at: Mapped[datetime | None]
    rejected_at: Mapped[datetime | None]

    def become(self, status: SampleStatus) -> None:
        """Moves to another state. Raises SampleCannotBecome."""
        self.status = SAMPLE.moved(self.status, status)
