"""What the lab can measure."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from broker import StateOwner, publishes_state
from contracts.clinical import Sex
from contracts.lab import Flag, LabTestChanged
from services.lab.rules import Delta, Limits
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
    auto_verify: Mapped[bool] = mapped_column(
        server_default="false", comment="whether results are released that nobody has to look at"
    )
    control_hours: Mapped[int] = mapped_column(
        server_default="24", comment="how long a control speaks for the results after it"
    )
    delta_days: Mapped[int | None] = mapped_column(comment="how old the previous result of a delta check may be")
    delta_absolute: Mapped[Decimal | None]
    delta_percent: Mapped[Decimal | None]
    duplicate_hours: Mapped[int | None] = mapped_column(comment="how soon it is not ordered again without a reason")
    ranges: Mapped[list[ReferenceRange]] = relationship(lazy="selectin", cascade="all, delete-orphan")
    reflexes: Mapped[list[ReflexTest]] = relationship(
        lazy="selectin", cascade="all, delete-orphan", foreign_keys="ReflexTest.test_code"
    )

    @property
    def delta(self) -> Delta | None:
        """What its results are compared by with the patient's previous one; None when they are not."""
        if self.delta_days is None:
            return None
        return Delta(days=self.delta_days, absolute=self.delta_absolute, percent=self.delta_percent)

    @delta.setter
    def delta(self, delta: Delta | None) -> None:
        self.delta_days = delta.days if delta is not None else None
        self.delta_absolute = delta.absolute if delta is not None else None
        self.delta_percent = delta.percent if delta is not None else None


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


class ReflexTest(Base):
    """A further test that a result asks for, by its flag or its value."""

    __tablename__ = "reflex_tests"

    reflex_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    test_code: Mapped[str] = mapped_column(ForeignKey("lab_tests.code"), index=True)
    further_test: Mapped[str] = mapped_column(ForeignKey("lab_tests.code"))
    flag: Mapped[Flag | None]
    below: Mapped[Decimal | None]
    above: Mapped[Decimal | None]
