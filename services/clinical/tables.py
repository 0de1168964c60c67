"""The tables that clinical owns. Nothing is ever deleted from them."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any, Self
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, Index, Numeric, UniqueConstraint, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from broker import StateOwner, Tables, publishes_state
from contracts.clinical import EncounterChanged, EncounterClass, EncounterStatus, PatientChanged, PatientStatus, Sex
from contracts.event import Event
from contracts.lab import Flag, ResultStatus
from services.clinical import rules


class Base(Tables, DeclarativeBase):
    """Every table of clinical."""


@publishes_state(PatientChanged)
class Patient(StateOwner, Base):
    """A person as one facility knows them. A merged record stays and redirects to the one that lives on."""

    __tablename__ = "patients"
    __table_args__ = (
        UniqueConstraint("facility_id", "medical_record_number"),
        Index(None, "facility_id", "registered_at", "patient_id"),
    )

    patient_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    facility_id: Mapped[UUID]
    medical_record_number: Mapped[str]
    full_name: Mapped[str]
    birth_date: Mapped[date]
    sex: Mapped[Sex]
    status: Mapped[PatientStatus]
    merged_into: Mapped[UUID | None] = mapped_column(ForeignKey("patients.patient_id"), index=True)
    deceased_on: Mapped[date | None]
    registered_at: Mapped[datetime]
    email: Mapped[str | None]
    phone: Mapped[str | None] = mapped_column(comment="E.164")
    locale: Mapped[str | None] = mapped_column(comment="BCP 47")
    street: Mapped[str | None]
    city: Mapped[str | None]
    postal_code: Mapped[str | None]
    country: Mapped[str | None] = mapped_column(comment="ISO 3166-1 alpha-2")

    def become(self, status: PatientStatus) -> None:
        """Moves to another state. Raises PatientCannotBecome."""
        self.status = rules.patient_moved(self.status, status)

    @classmethod
    async def current(cls, session: AsyncSession, patient_id: UUID) -> Self:
        """The patient that `patient_id` stands for now: merges are followed. Raises NotFound."""
        patient = await cls.seen(session, patient_id)
        while patient.merged_into is not None:
            patient = await cls.seen(session, patient.merged_into)
        return patient

    @classmethod
    async def current_held(cls, session: AsyncSession, patient_id: UUID) -> Self:
        """As `current`, and no merge changes it until the transaction ends."""
        patient = await cls.held(session, patient_id)
        while patient.merged_into is not None:
            patient = await cls.held(session, patient.merged_into)
        return patient

    @classmethod
    async def merged_through(cls, session: AsyncSession, patient_id: UUID) -> list[UUID]:
        """The records that redirect to `patient_id`, directly or through others, and itself."""
        found = select(cls.patient_id).where(cls.patient_id == patient_id).cte(recursive=True)
        found = found.union(select(cls.patient_id).join(found, cls.merged_into == found.c.patient_id))
        return list(await session.scalars(select(found.c.patient_id)))


class OfPatient:
    """What belongs to a patient and moves with a merge.

    `recorded_for` is who it was recorded for, so that the merge can be taken back.
    """

    patient_id: Mapped[UUID] = mapped_column(ForeignKey("patients.patient_id"), index=True)
    recorded_for: Mapped[UUID] = mapped_column(ForeignKey("patients.patient_id"), index=True)
    facility_id: Mapped[UUID]


@publishes_state(EncounterChanged)
class Encounter(OfPatient, StateOwner, Base):
    """A patient's visit or stay."""

    __tablename__ = "encounters"

    encounter_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    encounter_class: Mapped[EncounterClass]
    status: Mapped[EncounterStatus]
    planned_at: Mapped[datetime]
    arrived_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    discharged_at: Mapped[datetime | None]
    cancelled_at: Mapped[datetime | None]
    reason: Mapped[str | None] = mapped_column(comment="why it was cancelled or entered in error")

    def become(self, status: EncounterStatus) -> None:
        """Moves to another state. Raises EncounterCannotBecome."""
        self.status = rules.encounter_moved(self.status, status)


class Entry(OfPatient, Base):
    """What another service's event put into a patient's record.

    `source_event_id` is deliberately not unique: two entries of one event are what "duplicated" is computed from.
    """

    __abstract__ = True

    entry_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    source_event_id: Mapped[UUID] = mapped_column(index=True)
    entered_at: Mapped[datetime]

    @classmethod
    def of(cls, event: Event, **own: Any) -> Self:
        """The entry that shows `event`, whose fields give the columns of the same names; `own` win over them."""
        shared = {name: getattr(event, name) for name in type(event).model_fields if name in cls.__table__.columns}
        return cls(**shared | own)


class ResultEntry(Entry):
    """A lab result in the patient's record. A correction is an entry of its own: both stay to be seen."""

    __tablename__ = "result_entries"

    result_id: Mapped[UUID] = mapped_column(index=True)
    order_id: Mapped[UUID]
    encounter_id: Mapped[UUID | None]
    test_code: Mapped[str] = mapped_column(comment="LOINC")
    test_name: Mapped[str]
    value: Mapped[Decimal | None]
    text_value: Mapped[str | None]
    unit: Mapped[str] = mapped_column(comment="UCUM")
    reference_low: Mapped[Decimal | None]
    reference_high: Mapped[Decimal | None]
    flag: Mapped[Flag | None]
    is_abnormal: Mapped[bool]
    is_critical: Mapped[bool]
    status: Mapped[ResultStatus]
    reason: Mapped[str | None] = mapped_column(comment="why it was corrected")
    ordered_by: Mapped[UUID | None] = mapped_column(comment="the user who ordered the test")
    resulted_at: Mapped[datetime]


class PaidInvoiceEntry(Entry):
    """An invoice that was paid in full, as the patient's record shows it."""

    __tablename__ = "paid_invoice_entries"

    invoice_id: Mapped[UUID]
    encounter_id: Mapped[UUID | None]
    amount: Mapped[Decimal] = mapped_column(Numeric(14, 2))
    currency: Mapped[str]
    paid_at: Mapped[datetime]


ENTRIES: tuple[type[Entry], ...] = (ResultEntry, PaidInvoiceEntry)
"""What moves with a merge and is no aggregate of its own."""
