"""Controls, measured beside the patients' samples."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from services.lab.rules import ControlOutcome, deviation
from services.lab.tables.base import Base


class ControlMeasurement(Base):
    """What a control material of one level showed, and what that says of the test at this facility."""

    __tablename__ = "control_measurements"
    __table_args__ = (Index("control_measurements_by_level", "facility_id", "test_code", "level", "measured_at"),)

    control_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    facility_id: Mapped[UUID]
    test_code: Mapped[str] = mapped_column(ForeignKey("lab_tests.code"))
    level: Mapped[int] = mapped_column(comment="of the material: 1 is the lowest concentration")
    value: Mapped[Decimal]
    target: Mapped[Decimal]
    sd: Mapped[Decimal] = mapped_column(comment="standard deviation")
    outcome: Mapped[ControlOutcome]
    measured_by: Mapped[UUID | None] = mapped_column(comment="the user who did; null where nobody is known")
    measured_at: Mapped[datetime]

    @property
    def deviation(self) -> Decimal:
        """In standard deviations from the target."""
        return deviation(self.value, self.target, self.sd)
