"""For whom, where and how often something is ordered."""

from __future__ import annotations

from datetime import datetime, timedelta

from contracts.clinical import EncounterStatus, PatientStatus
from contracts.facility import FacilityStatus
from services.lab.errors import EncounterIsOver, FacilityIsNotActive, PatientIsDeceased

TREATED: frozenset[PatientStatus] = frozenset({"active", "inactive"})
"""Neither dead nor merged into somebody who may be."""

ENDED_ENCOUNTERS: frozenset[EncounterStatus] = frozenset({"finished", "cancelled", "entered_in_error"})
"""In these states nothing more is done during an encounter."""

CALLED_OFF_ENCOUNTERS: frozenset[EncounterStatus] = frozenset({"cancelled", "entered_in_error"})
"""These do not take place, or never did."""


def check_alive(status: PatientStatus) -> None:
    """Raises PatientIsDeceased."""
    if status == "deceased":
        raise PatientIsDeceased


def check_facility(status: FacilityStatus) -> None:
    """Raises FacilityIsNotActive, which names the state."""
    if status != "active":
        raise FacilityIsNotActive(state=status)


def check_encounter(status: EncounterStatus) -> None:
    """Raises EncounterIsOver, which names the state."""
    if status in ENDED_ENCOUNTERS:
        raise EncounterIsOver(state=status)


def is_sampled_again(patient: PatientStatus, encounter: EncounterStatus | None) -> bool:
    """Whether another sample may be taken for what was ordered: not from the dead, nor for an encounter that was called off.

    What was ordered during an encounter is still owed to the patient when it is finished.
    """
    return patient != "deceased" and encounter not in CALLED_OFF_ENCOUNTERS


def duplicate_window(placed_at: datetime, hours: int) -> tuple[datetime, datetime]:
    """Between which times another order of the same test makes this one a duplicate."""
    return placed_at - timedelta(hours=hours), placed_at + timedelta(hours=hours)
