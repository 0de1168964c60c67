"""What is decided of encounters: their states, when one may begin, and when an inpatient may go."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime
from typing import Protocol
from uuid import UUID

from broker import LifeCycle
from contracts.clinical import EncounterClass, EncounterStatus
from contracts.lab import Priority
from services.clinical.errors import (
    DischargeIsAlreadyRequested,
    DischargeIsBeforeTheStart,
    DischargeIsRequestedForInpatients,
    EncounterCannotBecome,
    EncounterIsAfterDeath,
    EncounterIsOfAnotherPatient,
    EncounterNeverWas,
    OnlyAnInpatientNeedsABed,
    OpenStatOrdersBlockDischarge,
    PatientIsAlreadyAnInpatient,
    TimeIsInTheFuture,
)

ENCOUNTER = LifeCycle[EncounterStatus](
    {
        "planned": {"arrived", "cancelled", "entered_in_error"},
        "arrived": {"in_progress", "cancelled", "entered_in_error"},
        "in_progress": {"finished", "entered_in_error"},
        "finished": {"entered_in_error"},
        "cancelled": set(),
        "entered_in_error": set(),
    },
    refused=EncounterCannotBecome,
)

NEVER_WERE: frozenset[EncounterStatus] = frozenset({"cancelled", "entered_in_error"})
"""What is said of an encounter that did not take place."""

BLOCKS_DISCHARGE: frozenset[Priority] = frozenset({"stat"})
"""The priorities of lab orders that an inpatient waits for: whoever asks for a result at once means to act on it."""


class Visit(Protocol):
    """What is looked at to tell whose an encounter is, and how far it is."""

    @property
    def patient_id(self) -> UUID: ...
    @property
    def encounter_class(self) -> EncounterClass: ...
    @property
    def status(self) -> EncounterStatus: ...
    @property
    def discharge_requested_at(self) -> datetime | None: ...


def check_happened(when: datetime, now: datetime) -> datetime:
    """Gives `when` back. Raises TimeIsInTheFuture."""
    if when > now:
        raise TimeIsInTheFuture
    return when


def check_alive(day: date, deceased_on: date | None) -> None:
    """Whether there can be an encounter; on the day of death there may still be one. Raises EncounterIsAfterDeath."""
    if deceased_on is not None and day > deceased_on:
        raise EncounterIsAfterDeath


def check_bed_wanted(encounter_class: EncounterClass, ward_id: UUID | None, isolation: bool) -> None:
    """Raises OnlyAnInpatientNeedsABed for a ward or isolation without a stay."""
    if encounter_class != "inpatient" and (ward_id is not None or isolation):
        raise OnlyAnInpatientNeedsABed


def check_admission(open_stays: int) -> None:
    """Raises PatientIsAlreadyAnInpatient for a patient with an open inpatient stay."""
    if open_stays:
        raise PatientIsAlreadyAnInpatient


def check_discharge_request(encounter: Visit) -> None:
    """Raises DischargeIsRequestedForInpatients or DischargeIsAlreadyRequested."""
    if encounter.encounter_class != "inpatient" or encounter.status != "in_progress":
        raise DischargeIsRequestedForInpatients(state=encounter.status)
    if encounter.discharge_requested_at is not None:
        raise DischargeIsAlreadyRequested


def check_discharge(discharged_at: datetime, started_at: datetime | None, now: datetime) -> datetime:
    """Gives `discharged_at` back. Raises TimeIsInTheFuture or DischargeIsBeforeTheStart."""
    if started_at is not None and discharged_at < started_at:
        raise DischargeIsBeforeTheStart
    return check_happened(discharged_at, now)


def overrides_discharge(encounter_class: EncounterClass, open_orders: Collection[UUID], reason: str | None) -> bool:
    """Whether a discharge goes ahead only because of `reason`. Raises OpenStatOrdersBlockDischarge where there is none."""
    if encounter_class != "inpatient" or not open_orders:
        return False
    if reason is None:
        raise OpenStatOrdersBlockDischarge(open=len(open_orders))
    return True


def check_recorded_in(encounter: Visit, patient_id: UUID) -> None:
    """Whether something of a patient can have happened in it. Raises EncounterIsOfAnotherPatient, EncounterNeverWas."""
    if encounter.patient_id != patient_id:
        raise EncounterIsOfAnotherPatient
    if encounter.status in NEVER_WERE:
        raise EncounterNeverWas(state=encounter.status.replace("_", " "))
