"""What facility decides without asking anybody: states, and which bed is fit for whom."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import time
from typing import Literal
from zoneinfo import available_timezones

from broker import LifeCycle
from contracts.clinical import PatientStatus, Sex
from contracts.facility import BedStatus, FacilityStatus
from services.facility.errors import (
    BedCannotBecome,
    BedRequestCannotBecome,
    FacilityCannotBecome,
    FacilityHasPatients,
    FacilityIsNotActive,
    IsolatedPatientLiesAlone,
    NobodyLiesBesideAnIsolatedPatient,
    TimeZoneIsUnknown,
    VisitingHoursEndBeforeTheyBegin,
    WardIsAtCapacity,
    WardIsForAnotherSex,
    WardIsInUse,
)

WardSex = Literal["female", "male", "mixed"]
RequestStatus = Literal["waiting", "assigned", "closed"]
Idle = Literal["cleaning", "maintenance", "blocked"]
"""The states in which nobody has a bed and nobody can get it."""

FACILITY = LifeCycle[FacilityStatus]({"active": {"inactive"}, "inactive": {"active"}}, refused=FacilityCannotBecome)

BED = LifeCycle[BedStatus](
    {
        "available": {"reserved", "maintenance", "blocked"},
        "reserved": {"occupied", "available"},
        "occupied": {"cleaning"},
        "cleaning": {"available", "maintenance", "blocked"},
        "maintenance": {"available"},
        "blocked": {"available"},
    },
    refused=BedCannotBecome,
)
"""Nobody lies in a bed that was not kept for them first, or that was not cleaned after the last one."""

REQUEST = LifeCycle[RequestStatus](
    {"waiting": {"assigned", "closed"}, "assigned": {"closed"}, "closed": set()}, refused=BedRequestCannotBecome
)

TREATED: frozenset[PatientStatus] = frozenset({"active", "inactive"})
"""Neither dead nor merged into somebody who may be."""

TAKEN: frozenset[BedStatus] = frozenset({"reserved", "occupied"})
OUT_OF_SERVICE: frozenset[BedStatus] = frozenset({"maintenance", "blocked"})

TIME_ZONES = frozenset(available_timezones())
"""The names of the IANA time zone database (RFC 6557)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What a patient needs of a bed."""

    sex: Sex
    isolation: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a bed offers: its ward, its room, and how the other beds of the room are taken."""

    ward_sex: WardSex
    ward_isolation: bool
    is_single: bool
    taken_beside: int = 0
    isolated_beside: bool = False

    @property
    def is_scarce(self) -> bool:
        """Whether an isolated patient could lie here, so that others had better lie elsewhere."""
        return self.is_single or self.ward_isolation


def check_fit(need: Need, place: Place) -> None:
    """Whether a patient may lie in a place.

    Wards are for one sex or mixed; whose sex is other or unknown lies in a mixed ward or a single room (NHS England, Delivering
    same-sex accommodation, 2019). Isolation needs a single room, or a room of a ward that is equipped for it with nobody else
    in it (CDC, Guideline for Isolation Precautions, 2007).
    Raises WardIsForAnotherSex, IsolatedPatientLiesAlone, NobodyLiesBesideAnIsolatedPatient.
    """
    if not _is_for_sex(need.sex, place):
        raise WardIsForAnotherSex(ward_is_for=place.ward_sex)
    if need.isolation and (place.taken_beside or not place.is_scarce):
        raise IsolatedPatientLiesAlone
    if place.isolated_beside:
        raise NobodyLiesBesideAnIsolatedPatient


def is_fit(need: Need, place: Place) -> bool:
    """Whether `check_fit` has nothing against it."""
    try:
        check_fit(need, place)
    except (WardIsForAnotherSex, IsolatedPatientLiesAlone, NobodyLiesBesideAnIsolatedPatient):
        return False
    return True


def _is_for_sex(sex: Sex, place: Place) -> bool:
    if place.ward_sex in {"mixed", sex}:
        return True
    return place.is_single and sex in {"other", "unknown"}


def check_reserved(status: BedStatus) -> None:
    """Whether there is a reservation to be cancelled. Raises BedCannotBecome."""
    if status != "reserved":
        raise BedCannotBecome(state=status, asked="available")


def check_idle(status: BedStatus, expected: Idle) -> None:
    """Whether a bed is what it should be brought back from. Raises BedCannotBecome."""
    if status != expected:
        raise BedCannotBecome(state=status, asked="available")


def in_service(beds: Iterable[BedStatus]) -> int:
    """How many beds patients can be in, now or after they were cleaned."""
    return sum(status not in OUT_OF_SERVICE for status in beds)


def is_full(beds: Iterable[BedStatus]) -> bool:
    """Whether every bed in service is taken."""
    statuses = list(beds)
    taken = sum(status in TAKEN for status in statuses)
    return taken > 0 and taken == in_service(statuses)


def check_capacity(beds: int, capacity: int) -> None:
    """Whether a ward can nurse so many beds. Raises WardIsAtCapacity."""
    if beds > capacity:
        raise WardIsAtCapacity(beds=beds, capacity=capacity)


def check_ward_is_empty(beds: Iterable[BedStatus]) -> None:
    """Whether whom a ward is for may be changed. Raises WardIsInUse."""
    if TAKEN.intersection(beds):
        raise WardIsInUse


def check_facility_is_empty(beds: Iterable[BedStatus]) -> None:
    """Whether a facility may be deactivated. Raises FacilityHasPatients."""
    taken = sum(status in TAKEN for status in beds)
    if taken:
        raise FacilityHasPatients(beds=taken)


def check_active(status: FacilityStatus) -> None:
    """Whether anything new begins at a facility. Raises FacilityIsNotActive."""
    if status != "active":
        raise FacilityIsNotActive(state=status)


def check_visiting_hours(begin: time, end: time) -> None:
    """Where both are the same there are no visiting hours. Raises VisitingHoursEndBeforeTheyBegin."""
    if begin > end:
        raise VisitingHoursEndBeforeTheyBegin


def check_time_zone(name: str) -> str:
    """The name of a time zone. Raises TimeZoneIsUnknown."""
    if name not in TIME_ZONES:
        raise TimeZoneIsUnknown
    return name
