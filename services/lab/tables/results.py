"""What tests showed."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from contracts.lab import Flag
from services.lab.rules import RESULT, ResultStatus, is_critical
from services.lab.tables.base import Base


class LabResult(Base):
    """What a test showed: a number in the unit of the test, or a text."""

    __tablename__ = "lab_results"
    __table_args__ = (
        Index("lab_results_one_per_test", "order_id", "test_code", unique=True, postgresql_where=text("status <> 'cancelled'")),
    )

    result_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    order_id: Mapped[UUID] = mapped_column(ForeignKey("lab_orders.order_id"))
    sample_id: Mapped[UUID] = mapped_column(ForeignKey("samples.sample_id"))
    facility_id: Mapped[UUID]
    test_code: Mapped[str] = mapped_column(ForeignKey("lab_tests.code"))
    test_name: Mapped[str]
    value: Mapped[Decimal | None]
    text_value: Mapped[str | None]
    unit: Mapped[str] = mapped_column(comment="UCUM")
    reference_low: Mapped[Decimal | None]
    reference_high: Mapped[Decimal | None]
    flag: Mapped[Flag | None]
    status: Mapped[ResultStatus]
    review_reasons: Mapped[list[str]] = mapped_column(server_default="{}", comment="why it was not released by itself")
    entered_by: Mapped[UUID | None] = mapped_column(comment="the user who did; null where nobody is known")
    entered_at: Mapped[datetime]
    verified_by: Mapped[UUID | None] = mapped_column(
        comment="the user who did; null where it was released by itself, or nobody is known"
    )
    resulted_at: Mapped[datetime | None] = mapped_column(comment="when it was verified, or last corrected")
    cancelled_by: Mapped[UUID | None] = mapped_column(
        comment="the user who gave it up before it was released; null where nobody is known"
    )
    cancelled_at: Mapped[datetime | None]

    def become(self, status: ResultStatus) -> None:
        """Moves to another state. Raises ResultCannotBecome."""
        self.status = RESULT.moved(self.status, status)

    @property
    def is_abnormal(self) -> bool:
        """Whether it lies outside what is normal."""
        return self.flag is not None

    @property
    def is_critical(self) -> bool:
        """Whether somebody must be told at once."""
        return is_critical(self.flag)


class ResultCorrection(Base):
    """What a result said before it was corrected."""

    __tablename__ = "result_corrections"

    correction_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    result_id: Mapped[UUID] = mapped_column(ForeignKey("lab_results.result_id"), index=True)
    previous_value: Mapped[Decimal | None]
    previous_text_value: Mapped[str | None]
    previous_flag: Mapped[Flag | None]
    reason: Mapped[str]
    corrected_by: Mapped[UUID | None] = mapped_column(comment="the user who did; null where nobody is known")
    corrected_at: Mapped[datetime]
