"""What those who treat a patient write into the record. A row is never deleted."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from services.clinical import rules
from services.clinical.rules import AllergyStatus, DiagnosisStatus
from services.clinical.tables.base import Base
from services.clinical.tables.patients import OfPatient

Severity = Literal["mild", "moderate", "severe"]
"""FHIR R4 reaction-event-severity."""


class Charted(OfPatient):
    """What somebody wrote into a patient's record, in an encounter or outside any."""

    __abstract__ = True

    encounter_id: Mapped[UUID | None] = mapped_column(ForeignKey("encounters.encounter_id"), index=True)
    recorded_at: Mapped[datetime]
    recorded_by: Mapped[str]


class Icd10Code(Base):
    """A code of ICD-10-CM, as far as the code set is loaded."""

    __tablename__ = "icd10_codes"

    code: Mapped[str] = mapped_column(primary_key=True)
    title: Mapped[str]
    billable: Mapped[bool] = mapped_column(comment="false for a category that is further divided")


class Diagnosis(Charted):
    """What a patient is thought to have."""

    __tablename__ = "diagnoses"

    diagnosis_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    code: Mapped[str] = mapped_column(comment="ICD-10-CM")
    status: Mapped[DiagnosisStatus]
    changed_at: Mapped[datetime]
    changed_by: Mapped[str]

    def become(self, status: DiagnosisStatus, *, by: str, at: datetime) -> None:
        """Moves to another state. Raises DiagnosisCannotBecome."""
        self.status = rules.DIAGNOSIS.moved(self.status, status)
        self.changed_by, self.changed_at = by, at


class Allergy(Charted):
    """A substance that a patient does not tolerate."""

    __tablename__ = "allergies"
    __table_args__ = (
        Index(
            "allergies_recorded_for_substance_code_key",
            "recorded_for",
            "substance_code",
            unique=True,
            postgresql_where=text("status = 'active'"),
        ),
    )

    allergy_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    substance_code: Mapped[str] = mapped_column(comment="RxNorm or SNOMED CT")
    substance: Mapped[str]
    severity: Mapped[Severity]
    reaction: Mapped[str | None]
    status: Mapped[AllergyStatus]
    removed_at: Mapped[datetime | None]
    removed_by: Mapped[str | None]
    removal_reason: Mapped[str | None]

    def remove(self, *, by: str, at: datetime, reason: str) -> None:
        """It turned out to be none. Raises AllergyCannotBecome."""
        self.status = rules.ALLERGY.moved(self.status, "removed")
        self.removed_by, self.removed_at, self.removal_reason = by, at, reason


class Procedure(Charted):
    """Something that was done to a patient."""

    __tablename__ = "procedures"

    procedure_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    code: Mapped[str] = mapped_column(comment="CPT, HCPCS or SNOMED CT, as the charge master knows it")
    description: Mapped[str]
    performed_at: Mapped[datetime]


class Immunization(Charted):
    """A dose of a vaccine."""

    __tablename__ = "immunizations"

    immunization_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    vaccine_code: Mapped[str] = mapped_column(comment="CVX")
    dose: Mapped[int]
    lot_number: Mapped[str | None]
    given_at: Mapped[datetime]


class VitalSigns(Charted):
    """A patient's vital signs at one time; what was not measured is null."""

    __tablename__ = "vital_signs"

    vitals_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    systolic_mmhg: Mapped[int | None]
    diastolic_mmhg: Mapped[int | None]
    pulse_per_minute: Mapped[int | None]
    breaths_per_minute: Mapped[int | None]
    temperature_celsius: Mapped[Decimal | None]
    oxygen_saturation_percent: Mapped[int | None]
    charted_at: Mapped[datetime]


class ClinicalNote(Charted):
    """A short entry of those at the bedside; what was wrong is put right by another one."""

    __tablename__ = "clinical_notes"

    note_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    text: Mapped[str]
