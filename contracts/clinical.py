"""What clinical publishes: who the patients are, and when they are here."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from contracts.event import Event, Personal, StateEvent

Sex = Literal["female", "male", "other", "unknown"]
"""FHIR R4 administrative-gender."""

PatientStatus = Literal["active", "inactive", "deceased", "merged"]
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


class PatientMerged(Event, name="patient.merged", version=1, key="patient_id"):
    """Two records were of one person: everything of `patient_id` now belongs to `into_patient_id`."""

    patient_id: UUID
    into_patient_id: UUID
    facility_id: UUID
    merged_at: datetime


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


class EncounterCancelled(Event, name="encounter.cancelled", version=1, key="encounter_id"):
    """The encounter will not take place."""

    encounter_id: UUID
    patient_id: UUID
    facility_id: UUID
    cancelled_at: datetime
