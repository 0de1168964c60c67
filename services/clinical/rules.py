"""What clinical decides without asking anybody: states of patients and encounters, and who may be merged into whom."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Protocol
from uuid import UUID

from contracts.clinical import EncounterStatus, PatientStatus
from services.clinical.errors import (
    DeathIsBeforeBirth,
    DischargeIsBeforeTheStart,
    EncounterCannotBecome,
    MergedPatientIsReadOnly,
    MergeTargetIsItselfMerged,
    OnlyAMergedPatientCanBeUnmerged,
    PatientCannotBecome,
    PatientCannotMergeIntoThemselves,
    PatientsMergeWithinOneFacility,
    TimeIsInTheFuture,
)

PATIENT_MOVES: Mapping[PatientStatus, frozenset[PatientStatus]] = {
    "active": frozenset({"inactive", "deceased", "merged"}),
    "inactive": frozenset({"active", "deceased", "merged"}),
    "deceased": frozenset({"merged"}),
    "merged": frozenset({"active", "deceased"}),
}

ENCOUNTER_MOVES: Mapping[EncounterStatus, frozenset[EncounterStatus]] = {
    "planned": frozenset({"arrived", "cancelled", "entered_in_error"}),
    "arrived": frozenset({"in_progress", "cancelled", "entered_in_error"}),
    "in_progress": frozenset({"finished", "entered_in_error"}),
    "finished": frozenset({"entered_in_error"}),
    "cancelled": frozenset(),
    "entered_in_error": frozenset(),
}


class Person(Protocol):
    """What is looked at to tell whether two records can be merged."""

    @property
    def patient_id(self) -> UUID: ...
    @property
    def facility_id(self) -> UUID: ...
    @property
    def status(self) -> PatientStatus: ...


def patient_moved(status: PatientStatus, to: PatientStatus) -> PatientStatus:
    """The state after the move. Raises PatientCannotBecome."""
    if to not in PATIENT_MOVES[status]:
        raise PatientCannotBecome(state=status, asked=to)
    return to


def encounter_moved(status: EncounterStatus, to: EncounterStatus) -> EncounterStatus:
    """The state after the move. Raises EncounterCannotBecome."""
    if to not in ENCOUNTER_MOVES[status]:
        raise EncounterCannotBecome(state=status, asked=to)
    return to


def check_merge(patient: Person, into: Person) -> None:
    """Whether everything of `patient` may become that of `into`. Raises the rule that forbids it."""
    if patient.patient_id == into.patient_id:
        raise PatientCannotMergeIntoThemselves
    if patient.facility_id != into.facility_id:
        raise PatientsMergeWithinOneFacility
    if into.status == "merged":
        raise MergeTargetIsItselfMerged


def check_writable(patient: Person) -> None:
    """Raises MergedPatientIsReadOnly for a record that only redirects."""
    if patient.status == "merged":
        raise MergedPatientIsReadOnly


def status_after_unmerge(status: PatientStatus, deceased_on: date | None) -> PatientStatus:
    """What a patient is again when the merge is taken back. Raises OnlyAMergedPatientCanBeUnmerged."""
    if status != "merged":
        raise OnlyAMergedPatientCanBeUnmerged
    return "deceased" if deceased_on is not None else "active"


def check_happened(when: datetime, now: datetime) -> datetime:
    """Gives `when` back. Raises TimeIsInTheFuture."""
    if when > now:
        raise TimeIsInTheFuture
    return when


def check_birth(birth_date: date, today: date) -> date:
    """Gives `birth_date` back. Raises TimeIsInTheFuture."""
    if birth_date > today:
        raise TimeIsInTheFuture
    return birth_date


def check_death(deceased_on: date, birth_date: date, today: date) -> date:
    """Gives `deceased_on` back. Raises TimeIsInTheFuture or DeathIsBeforeBirth."""
    if deceased_on > today:
        raise TimeIsInTheFuture
    if deceased_on < birth_date:
        raise DeathIsBeforeBirth
    return deceased_on


def check_discharge(discharged_at: datetime, started_at: datetime | None, now: datetime) -> datetime:
    """Gives `discharged_at` back. Raises TimeIsInTheFuture or DischargeIsBeforeTheStart."""
    if started_at is not None and discharged_at < started_at:
        raise DischargeIsBeforeTheStart
    return check_happened(discharged_at, now)
