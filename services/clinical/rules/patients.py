"""What is decided of patients: their states, and who may be merged into whom."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import Protocol
from uuid import UUID

from broker import LifeCycle
from contracts.clinical import PatientStatus
from contracts.facility import FacilityStatus
from services.clinical.errors import (
    BothPatientsAreInpatients,
    DeathIsBeforeBirth,
    DeceasedMergesOnlyIntoDeceased,
    FacilityIsNotActive,
    MergedPatientIsReadOnly,
    MergeTargetIsItselfMerged,
    OnlyAMergedPatientCanBeUnmerged,
    PatientCannotBecome,
    PatientCannotMergeIntoThemselves,
    PatientIsInactive,
    PatientsMergeWithinOneFacility,
    RecordIsAfterDeath,
    RecordIsBeforeBirth,
    SurvivorIsNotOfThisPair,
    TimeIsInTheFuture,
)

PATIENT = LifeCycle[PatientStatus](
    {
        "active": {"inactive", "deceased", "merged"},
        "inactive": {"active", "deceased", "merged"},
        "deceased": {"merged"},
        "merged": {"active", "inactive", "deceased"},
    },
    refused=PatientCannotBecome,
)


class Person(Protocol):
    """What is looked at to tell whether two records can be merged."""

    @property
    def patient_id(self) -> UUID: ...
    @property
    def facility_id(self) -> UUID: ...
    @property
    def status(self) -> PatientStatus: ...


def check_merge(patient: Person, into: Person) -> None:
    """Whether everything of `patient` may become that of `into`. Raises the rule that forbids it."""
    if patient.patient_id == into.patient_id:
        raise PatientCannotMergeIntoThemselves
    if patient.facility_id != into.facility_id:
        raise PatientsMergeWithinOneFacility
    if into.status == "merged":
        raise MergeTargetIsItselfMerged
    if patient.status == "deceased" and into.status != "deceased":
        raise DeceasedMergesOnlyIntoDeceased


def check_one_bed(inpatients: int) -> None:
    """Whether two records with so many open inpatient stays between them may become one. Raises BothPatientsAreInpatients."""
    if inpatients > 1:
        raise BothPatientsAreInpatients


def check_survivor(survivor: UUID, pair: Collection[UUID]) -> UUID:
    """Gives the record that lives on back. Raises SurvivorIsNotOfThisPair."""
    if survivor not in pair:
        raise SurvivorIsNotOfThisPair
    return survivor


def check_open_for_patients(status: FacilityStatus) -> None:
    """Raises FacilityIsNotActive."""
    if status != "active":
        raise FacilityIsNotActive(state=status)


def check_treated(patient: Person) -> None:
    """Raises PatientIsInactive for one whom the facility no longer treats."""
    if patient.status == "inactive":
        raise PatientIsInactive


def check_writable(patient: Person) -> None:
    """Raises MergedPatientIsReadOnly for a record that only redirects."""
    if patient.status == "merged":
        raise MergedPatientIsReadOnly


def status_after_unmerge(status: PatientStatus, before: PatientStatus | None, deceased_on: date | None) -> PatientStatus:
    """What a patient is again when the merge is taken back: what they were before, unless they died since.

    Raises OnlyAMergedPatientCanBeUnmerged.
    """
    if status != "merged":
        raise OnlyAMergedPatientCanBeUnmerged
    return "deceased" if deceased_on is not None else before or "active"


def check_birth(birth_date: date, today: date) -> date:
    """Gives `birth_date` back. Raises TimeIsInTheFuture."""
    if birth_date > today:
        raise TimeIsInTheFuture
    return birth_date


def check_born(day: date, birth_date: date) -> None:
    """Whether something was done to a patient on that day. Raises RecordIsBeforeBirth."""
    if day < birth_date:
        raise RecordIsBeforeBirth


def check_living(day: date, birth_date: date, deceased_on: date | None) -> None:
    """Whether a patient lived on that day. Raises RecordIsBeforeBirth, RecordIsAfterDeath."""
    check_born(day, birth_date)
    if deceased_on is not None and day > deceased_on:
        raise RecordIsAfterDeath


def check_death(deceased_on: date, birth_date: date, today: date) -> date:
    """Gives `deceased_on` back. Raises TimeIsInTheFuture or DeathIsBeforeBirth."""
    if deceased_on > today:
        raise TimeIsInTheFuture
    if deceased_on < birth_date:
        raise DeathIsBeforeBirth
    return deceased_on
