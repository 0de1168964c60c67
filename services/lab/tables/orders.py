"""What was ordered."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from contracts.lab import Priority
from services.lab.errors import TestHasNoAcceptedSample, TestIsNotPartOfTheOrder
from services.lab.rules import ORDER, OrderStatus, TestStatus
from services.lab.tables.base import Base
from services.lab.tables.samples import Sample


class LabOrder(Base):
    """Tests ordered for a patient. Its row is the lock for all that happens to its samples and results."""

    __tablename__ = "lab_orders"
    __table_args__ = (Index(None, "facility_id", "placed_at", "order_id"),)

    order_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    patient_id: Mapped[UUID] = mapped_column(comment="whose it is now")
    recorded_for: Mapped[UUID] = mapped_column(index=True, comment="whom it was ordered for")
    facility_id: Mapped[UUID]
    encounter_id: Mapped[UUID | None] = mapped_column(index=True)
    status: Mapped[OrderStatus]
    held_from: Mapped[OrderStatus | None] = mapped_column(comment="the state to return to from on_hold")
    priority: Mapped[Priority]
    recollects: Mapped[UUID | None] = mapped_column(
        ForeignKey("lab_orders.order_id"), comment="the order whose sample could not be used"
    )
    reason: Mapped[str | None] = mapped_column(comment="why it was held or cancelled")
    duplicate_reason: Mapped[str | None] = mapped_column(comment="why a test is ordered again so soon")
    ordered_by: Mapped[UUID | None] = mapped_column(comment="the user who did; null where nobody is known")
    placed_at: Mapped[datetime]
    completed_at: Mapped[datetime | None]
    cancelled_at: Mapped[datetime | None]
    lines: Mapped[list[OrderLine]] = relationship(
        lazy="selectin", cascade="all, delete-orphan", order_by="OrderLine.position", foreign_keys="OrderLine.order_id"
    )

    def become(self, status: OrderStatus) -> None:
        """Moves to another state. Raises OrderCannotBecome."""
        self.status = ORDER.moved(self.status, status)

    @property
    def tests(self) -> list[TestStatus]:
        """The states of its tests."""
        return [line.status for line in self.lines]

    @property
    def is_sampled(self) -> bool:
        """Whether anything was taken from the patient for it."""
        return any(line.sample_id is not None for line in self.lines)

    def line(self, test_code: str) -> OrderLine:
        """The line for a test. Raises TestIsNotPartOfTheOrder."""
        for line in self.lines:
            if line.test_code == test_code:
                return line
        raise TestIsNotPartOfTheOrder(order_id=self.order_id, test_code=test_code)


class OrderLine(Base):
    """One test of an order, and the sample that was taken for it."""

    __tablename__ = "lab_order_lines"

    order_id: Mapped[UUID] = mapped_column(ForeignKey("lab_orders.order_id"), primary_key=True)
    test_code: Mapped[str] = mapped_column(ForeignKey("lab_tests.code"), primary_key=True)
    position: Mapped[int]
    test_name: Mapped[str]
    sample_id: Mapped[UUID | None] = mapped_column(ForeignKey("samples.sample_id"), index=True)
    status: Mapped[TestStatus]
    reflex_of: Mapped[UUID | None] = mapped_column(
        ForeignKey("lab_results.result_id", use_alter=True), comment="the result that asked for this further test"
    )
    sample: Mapped[Sample | None] = relationship(lazy="selectin")

    @property
    def accepted_sample(self) -> Sample:
        """The sample to measure. Raises TestHasNoAcceptedSample."""
        if self.sample is None or self.sample.accepted_at is None:
            raise TestHasNoAcceptedSample(order_id=self.order_id, test_code=self.test_code)
        return self.sample
