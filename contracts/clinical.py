"""What clinical publishes: who the patients are, and when they are here."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from contracts.event import Event, Personal, StateEvent

Sex = Literal["female", "male", "other", "unknown"]
"""FHIR R4 administrative-gender."""

PatientStatus = Literal["active", "inactive", "deceased", "merged"]
EncounterStatus = Literal["planned", "arrived", "in_progress", "finished", "cancelled", "entered_in_error"]
"""FHIR R4 encounter-status, as far as it is used here."""

EncounterClass = Literal["ambulatory", "emergency", "inpatient", "wellness", "urgentcare", "outpatient", "virtual", "home"]


class PatientRegistered(Event, name="patient.registered", version=1, key="patient_id"):
    """A person became a patient of a facility."""

    patient_id: UUID
    facility_id: UUID
    registered_at: datetime


class PatientChanged(StateEvent, name="patient.changed", version=1, key="patient_id"):
    """All that others may know of a patient; feeds their references."""

    patient_id: UUID
    facility_id: UUID
    medical_record_number: Annotated[str, Personal(of="patient_id")]
    full_name: Annotated[str, Personal(of="patient_id")]
    birth_date: Annotated[date, Personal(of="patient_id")]
    sex: Annotated[Sex, Personal(of="patient_id")]
    status: PatientStatus
    merged_into: UUID | None = None
    email: Annotated[str | None, Personal(of="patient_id")] = None
    phone: Annotated[str | None, Personal(of="patient_id")] = None
    locale: str | None = None
    """BCP 47."""


class PatientMerged(Event, name="patient.merged", version=1, key="patient_id"):
    """Two records were of one person: everything of `patient_id` now belongs to `into_patient_id`."""

    patient_id: UUID
    into_patient_id: UUID
    facility_id: UUID
    merged_at: datetime


class PatientUnmerged(Event, name="patient.unmerged", version=1, key="patient_id"):
    """A merge was taken back: what was recorded for `patient_id` no longer belongs to `from_patient_id`."""

    patient_id: UUID
    from_patient_id: UUID
    facility_id: UUID
    unmerged_at: datetime


class PatientDeceased(Event, name="patient.deceased", version=1, key="patient_id"):
    """A patient died."""

    patient_id: UUID
    facility_id: UUID
    deceased_on: Annotated[date, Personal(of="patient_id")]


class EncounterStarted(Event, name="encounter.started", version=1, key="encounter_id"):
    """A patient is being seen."""

    encounter_id: UUID
    patient_id: UUID
    facility_id: UUID
    encounter_class: EncounterClass
    started_at: datetime


class EncounterDischarged(Event, name="encounter.discharged", version=1, key="encounter_id"):
    """The encounter is over: what it cost can be invoiced."""

    encounter_id: UUID
    patient_id: UUID
    facility_id: UUID
    discharged_at: datetime
    encounter_class: EncounterClass | None = None
    """Null where it was said by who did not tell yet."""
    recorded_for: UUID | None = None
    """Whose it is again when a merge is taken back. Null where it was said by who did not tell yet."""


class EncounterCancelled(Event, name="encounter.cancelled", version=1, key="encounter_id"):
    """The encounter will not take place."""

    encounter_id: UUID
    patient_id: UUID
    facility_id: UUID
    cancelled_at: datetime
    encounter_class: EncounterClass | None = None
    """Null where it was said by who did not tell yet."""


class EncounterAdmitted(Event, name="encounter.admitted", version=1, key="encounter_id"):
    """An inpatient stay began and needs a bed: in `ward_id` where one is named, in a single room where `isolation` says so."""

    encounter_id: UUID
    patient_id: UUID
    facility_id: UUID
    ward_id: UUID | None
    isolation: bool
    admitted_at: datetime
    recorded_for: UUID | None = None
    """Whose it is again when a merge is taken back. Null where it was said by who did not tell yet."""


class EncounterTransferred(Event, name="encounter.transferred", version=1, key="encounter_id"):
    """An inpatient lies in another bed than before."""

    encounter_id: UUID
    patient_id: UUID
    facility_id: UUID
    from_bed_id: UUID
    to_bed_id: UUID
    transferred_at: datetime


class EncounterChanged(StateEvent, name="encounter.changed", version=1, key="encounter_id"):
    """All that others may know of an encounter; feeds their references."""

    encounter_id: UUID
    patient_id: UUID
    facility_id: UUID
    encounter_class: EncounterClass
    status: EncounterStatus
    started_at: datetime | None
    discharged_at: datetime | None


class DischargeRequested(Event, name="discharge.requested", version=1, key="encounter_id"):
    """Somebody means to discharge an inpatient; what is still open has to be closed, or overridden with a reason."""

    encounter_id: UUID
    patient_id: UUID
    facility_id: UUID
    requested_at: datetime


class DiagnosisRecorded(Event, name="diagnosis.recorded", version=1, key="diagnosis_id"):
    """A diagnosis was made, or what is thought of it changed."""

    diagnosis_id: UUID
    patient_id: UUID
    facility_id: UUID
    encounter_id: UUID | None
    code: Annotated[str, Personal(of="patient_id")]
    """ICD-10-CM."""
    status: Literal["provisional", "confirmed", "resolved", "refuted"]
    recorded_at: datetime
    recorded_for: UUID | None = None
    """Whose it is again when a merge is taken back. Null where it was said by who did not tell yet."""


class AllergyRecorded(Event, name="allergy.recorded", version=1, key="allergy_id"):
    """A patient does not tolerate a substance."""

    allergy_id: UUID
    patient_id: UUID
    facility_id: UUID
    substance_code: Annotated[str, Personal(of="patient_id")]
    """RxNorm or SNOMED CT."""
    substance: Annotated[str, Personal(of="patient_id")]
    severity: Annotated[Literal["mild", "moderate", "severe"], Personal(of="patient_id")]
    recorded_at: datetime


class AllergyRemoved(Event, name="allergy.removed", version=1, key="allergy_id"):
    """An allergy turned out to be none; that it was recorded stays to be seen."""

    allergy_id: UUID
    patient_id: UUID
    facility_id: UUID
    removed_at: datetime


class ProcedurePerformed(Event, name="procedure.performed", version=1, key="procedure_id"):
    """Something was done to a patient: it can be charged."""

    procedure_id: UUID
    patient_id: UUID
    facility_id: UUID
    encounter_id: UUID | None
    code: Annotated[str, Personal(of="patient_id")]
    """CPT, HCPCS or SNOMED CT, as the charge master knows it."""
    description: Annotated[str, Personal(of="patient_id")]
    performed_at: datetime
    recorded_for: UUID | None = None
    """Whose it is again when a merge is taken back. Null where it was said by who did not tell yet."""


class ImmunizationGiven(Event, name="immunization.given", version=1, key="immunization_id"):
    """A patient was vaccinated."""

    immunization_id: UUID
    patient_id: UUID
    facility_id: UUID
    encounter_id: UUID | None
    vaccine_code: Annotated[str, Personal(of="patient_id")]
    """CVX."""
    dose: int
    given_at: datetime


class VitalsCharted(Event, name="vitals.charted", version=1, key="vitals_id"):
    """A patient's vital signs were written down; what was not measured is null."""

    vitals_id: UUID
    patient_id: UUID
    facility_id: UUID
    encounter_id: UUID | None
    systolic_mmhg: Annotated[int | None, Personal(of="patient_id")]
    diastolic_mmhg: Annotated[int | None, Personal(of="patient_id")]
    pulse_per_minute: Annotated[int | None, Personal(of="patient_id")]
    breaths_per_minute: Annotated[int | None, Personal(of="patient_id")]
    temperature_celsius: Annotated[Decimal | None, Personal(of="patient_id")]
    oxygen_saturation_percent: Annotated[int | None, Personal(of="patient_id")]
    charted_at: datetime
