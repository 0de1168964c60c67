"""What the lab can measure."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from broker import StateOwner, publishes_state
from contracts.clinical import Sex
from contracts.lab import LabTestChanged
from services.lab.rules import Limits
from services.lab.tables.base import Base


@publishes_state(LabTestChanged)
class LabTest(StateOwner, Base):
    """A test of the catalogue, which all facilities share."""

    __tablename__ = "lab_tests"

    code: Mapped[str] = mapped_column(primary_key=True, comment="LOINC")
    name: Mapped[str]
    unit: Mapped[str] = mapped_column(comment="UCUM")
    molar_mass: Mapped[Decimal | None] = mapped_column(comment="g/mol, to convert between mass and substance")
    normal_text: Mapped[str | None] = mapped_column(comment="the normal result, where results are texts")
    active: Mapped[bool]
    ranges: Mapped[list[ReferenceRange]] = relationship(lazy="selectin", cascade="all, delete-orphan")


class ReferenceRange(Base):
    """Where a test's values are normal, for a sex (null: any) and an age in completed years, `age_to` excluded."""

    __tablename__ = "reference_ranges"

    range_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    test_code: Mapped[str] = mapped_column(ForeignKey("lab_tests.code"), index=True)
    sex: Mapped[Sex | None]
    age_from: Mapped[int]
    age_to: Mapped[int | None]
    low: Mapped[Decimal | None]
    high: Mapped[Decimal | None]
    danger_low: Mapped[Decimal | None]
    danger_high: Mapped[Decimal | None]

    @property
    def limits(self) -> Limits:
        """Its limits, in the unit of the test."""
        return Limits(low=self.low, high=self.high, danger_low=self.danger_low, danger_high=self.danger_high)
