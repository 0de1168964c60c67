"""The tables that the lab owns."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID, uuid4

from sqlalchemy import ARRAY, ForeignKey, Index, Text, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from broker import StateOwner, Tables, publishes_state
from contracts.clinical import Sex
from contracts.lab import Flag, LabTestChanged, Priority, RejectionReason
from services.lab import rules
from services.lab.errors import TestHasNoAcceptedSample, TestIsNotPartOfTheOrder
from services.lab.rules import Limits, OrderStatus, ResultStatus, SampleStatus, TestStatus


class Base(Tables, DeclarativeBase):
    """Every table of the lab."""

    type_annotation_map = {list[str]: ARRAY(Text)}  # noqa: RUF012 (read by SQLAlchemy from the class)


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


class LabOrder(Base):
    """Tests ordered for a patient. Its row is the lock for all that happens to its samples and results."""

    __tablename__ = "lab_orders"
    __table_args__ = (Index(None, "facility_id", "placed_at", "order_id"),)

    order_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    patient_id: Mapped[UUID] = mapped_column(index=True)
    facility_id: Mapped[UUID]
    encounter_id: Mapped[UUID | None] = mapped_column(index=True)
    status: Mapped[OrderStatus]
    held_from: Mapped[OrderStatus | None] = mapped_column(comment="the state to return to from on_hold")
    priority: Mapped[Priority]
    recollects: Mapped[UUID | None] = mapped_column(
        ForeignKey("lab_orders.order_id"), comment="the order whose sample could not be used"
    )
    reason: Mapped[str | None] = mapped_column(comment="why it was held or cancelled")
    ordered_by: Mapped[UUID | None] = mapped_column(comment="the user who did; null where nobody is known")
    placed_at: Mapped[datetime]
    completed_at: Mapped[datetime | None]
    cancelled_at: Mapped[datetime | None]
    lines: Mapped[list[OrderLine]] = relationship(
        lazy="selectin", cascade="all, delete-orphan", order_by="OrderLine.position", foreign_keys="OrderLine.order_id"
    )

    def become(self, status: OrderStatus) -> None:
        """Moves to another state. Raises OrderCannotBecome."""
        self.status = rules.order_moved(self.status, status)

    @property
    def tests(self) -> list[TestStatus]:
        """The states of its tests."""
        return [line.status for line in self.lines]

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
    sample: Mapped[Sample | None] = relationship(lazy="selectin")

    @property
    def accepted_sample(self) -> Sample:
        """The sample to measure. Raises TestHasNoAcceptedSample."""
        if self.sample is None or self.sample.accepted_at is None:
            raise TestHasNoAcceptedSample(order_id=self.order_id, test_code=self.test_code)
        return self.sample


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
        self.status = rules.sample_moved(self.status, status)


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
    entered_at: Mapped[datetime]
    resulted_at: Mapped[datetime | None] = mapped_column(comment="when it was verified, or last corrected")

    def become(self, status: ResultStatus) -> None:
        """Moves to another state. Raises ResultCannotBecome."""
        self.status = rules.result_moved(self.status, status)

    @property
    def is_abnormal(self) -> bool:
        """Whether it lies outside what is normal."""
        return self.flag is not None

    @property
    def is_critical(self) -> bool:
        """Whether somebody must be told at once."""
        return rules.is_critical(self.flag)


class ResultCorrection(Base):
    """What a result said before it was corrected."""

    __tablename__ = "result_corrections"

    correction_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    result_id: Mapped[UUID] = mapped_column(ForeignKey("lab_results.result_id"), index=True)
    previous_value: Mapped[Decimal | None]
    previous_text_value: Mapped[str | None]
    previous_flag: Mapped[Flag | None]
    reason: Mapped[str]
    corrected_at: Mapped[datetime]
