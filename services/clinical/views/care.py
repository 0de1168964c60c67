"""What those who treat a patient write, as the API takes and shows it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from broker import Asked, Shown
from services.clinical.rules import PLAUSIBLE, AllergyStatus, DiagnosisStatus
from services.clinical.tables import Severity
from services.clinical.views.base import Code, Text

Whole = Annotated[int, Field(ge=-1000, le=1000)]


class Icd10CodeView(Shown):
    """A code of ICD-10-CM."""

    code: str
    title: str
    billable: bool


class Icd10CodeAsked(Asked):
    """A code of ICD-10-CM; not billable, if it is further divided."""

    code: Code
    title: Text
    billable: bool


class CodeSet(Asked):
    """Codes to add, or to say something else of."""

    codes: Annotated[list[Icd10CodeAsked], Field(min_length=1, max_length=5000)]


class OfEncounter(Asked):
    """Something in an encounter, or outside any."""

    encounter_id: UUID | None = None


class NewDiagnosis(OfEncounter):
    """What the patient is thought to have."""

    code: Code
    """ICD-10-CM."""
    status: Literal["provisional", "confirmed"] = "provisional"


class DiagnosisChange(Asked):
    """What is thought of it now."""

    status: Literal["confirmed", "resolved", "refuted"]


class NewAllergy(OfEncounter):
    """What the patient does not tolerate."""

    substance_code: Code
    """RxNorm or SNOMED CT."""
    substance: Text
    severity: Severity
    reaction: Text | None = None


class NewProcedure(OfEncounter):
    """What was done; now, when no time is given."""

    code: Code
    """CPT, HCPCS or SNOMED CT, as the charge master knows it."""
    description: Text
    performed_at: AwareDatetime | None = None


class NewImmunization(OfEncounter):
    """Which dose of which vaccine was given; now, when no time is given."""

    vaccine_code: Annotated[str, StringConstraints(pattern=r"^[0-9]{2,3}$")]
    """CVX."""
    dose: Annotated[int, Field(ge=1, le=20)]
    lot_number: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=50)] | None = None
    given_at: AwareDatetime | None = None


class NewVitals(OfEncounter):
    """What was measured; now, when no time is given."""

    systolic_mmhg: Whole | None = None
    diastolic_mmhg: Whole | None = None
    pulse_per_minute: Whole | None = None
    breaths_per_minute: Whole | None = None
    temperature_celsius: Annotated[Decimal, Field(max_digits=4, decimal_places=1)] | None = None
    oxygen_saturation_percent: Whole | None = None
    charted_at: AwareDatetime | None = None

    @model_validator(mode="after")
    def _measured_something(self) -> Self:
        if all(value is None for value in self.measured.values()):
            raise ValueError("nothing was measured")
        return self

    @property
    def measured(self) -> dict[str, int | Decimal | None]:
        """The vital signs by name."""
        return {name: getattr(self, name) for name in PLAUSIBLE}


class NewNote(OfEncounter):
    """What somebody at the bedside has to say."""

    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]


class _Charted(Shown):
    patient_id: UUID
    facility_id: UUID
    encounter_id: UUID | None
    recorded_at: datetime
    recorded_by: str


class DiagnosisView(_Charted):
    """A diagnosis, and what is thought of it."""

    diagnosis_id: UUID
    code: str
    status: DiagnosisStatus
    changed_at: datetime
    changed_by: str


class AllergyView(_Charted):
    """An allergy; one that turned out to be none says why."""

    allergy_id: UUID
    substance_code: str
    substance: str
    severity: Severity
    reaction: str | None
    status: AllergyStatus
    removed_at: datetime | None
    removed_by: str | None
    removal_reason: str | None


class ProcedureView(_Charted):
    """Something that was done."""

    procedure_id: UUID
    code: str
    description: str
    performed_at: datetime


class ImmunizationView(_Charted):
    """A dose of a vaccine."""

    immunization_id: UUID
    vaccine_code: str
    dose: int
    lot_number: str | None
    given_at: datetime


class VitalsView(_Charted):
    """Vital signs at one time."""

    vitals_id: UUID
    systolic_mmhg: int | None
    diastolic_mmhg: int | None
    pulse_per_minute: int | None
    breaths_per_minute: int | None
    temperature_celsius: Decimal | None
    oxygen_saturation_percent: int | None
    charted_at: datetime


class NoteView(_Charted):
    """A short entry of somebody at the bedside."""

    note_id: UUID
    text: str
