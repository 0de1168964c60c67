"""What facility's API takes and gives."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, StrictBool, StrictInt, StringConstraints

from broker import Asked, Shown
from contracts.facility import BedStatus, FacilityKind, FacilityStatus, ReleaseReason
from services.facility.rules import RequestStatus, WardSex

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Label = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=40)]
SettingName = Annotated[str, StringConstraints(pattern=r"^[\w-]{1,60}$")]
Capacity = Annotated[int, Field(ge=0, le=1000)]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
"""ISO 4217."""

TimeZone = Annotated[str, StringConstraints(min_length=1, max_length=64)]
"""IANA, as in Africa/Cairo."""


class AskedFacility(Asked):
    """All that is said of a facility."""

    name: Name
    kind: FacilityKind
    time_zone: TimeZone
    currency: Currency


class AskedSetting(Asked):
    """What a setting should be: a boolean, a whole number, or a text such as `14:30`."""

    value: StrictBool | StrictInt | Annotated[str, Field(max_length=200)]


class AskedDepartment(Asked):
    """A new department."""

    name: Name


class AskedWard(Asked):
    """All that is said of a ward: how many beds it can nurse, whom it is for, and whether any of its rooms can isolate."""

    name: Name
    capacity: Capacity
    sex: WardSex = "mixed"
    isolation: bool = False


class AskedBed(Asked):
    """A new bed; beds of a ward with the same room stand in one room."""

    room: Label
    label: Label


class Reservation(Asked):
    """Whom a bed should be kept for."""

    encounter_id: UUID
    patient_id: UUID
    isolation: bool = False


class Assignment(Asked):
    """Which of the encounters that wait should have a bed."""

    encounter_id: UUID


class Transfer(Asked):
    """Where to."""

    to_bed_id: UUID


class Release(Asked):
    """Why."""

    reason: Literal["discharged", "transferred", "deceased"]


class OutOfService(Asked):
    """Whether it is repaired, or may not be used for another reason."""

    to: Literal["maintenance", "blocked"]


class FacilityView(Shown):
    """A facility."""

    facility_id: UUID
    name: str
    kind: FacilityKind
    status: FacilityStatus
    time_zone: str
    currency: str
    opened_at: datetime


class SettingView(Shown):
    """A setting."""

    name: str
    value: Any
    meaning: str


class SettingsView(Shown):
    """Every setting."""

    settings: list[SettingView]


class DepartmentView(Shown):
    """A department."""

    department_id: UUID
    facility_id: UUID
    name: str


class WardView(Shown):
    """A ward; `full_since` is when its last bed was taken."""

    ward_id: UUID
    facility_id: UUID
    department_id: UUID
    name: str
    capacity: int
    sex: WardSex
    isolation: bool
    full_since: datetime | None


class BedView(Shown):
    """A bed, and whose it is."""

    bed_id: UUID
    ward_id: UUID
    facility_id: UUID
    room: str
    label: str
    status: BedStatus
    encounter_id: UUID | None
    patient_id: UUID | None
    isolation: bool
    reserved_until: datetime | None


class BedStayView(Shown):
    """That somebody lay in a bed."""

    stay_id: UUID
    bed_id: UUID
    encounter_id: UUID
    patient_id: UUID
    began_at: datetime
    ended_at: datetime | None
    reason: ReleaseReason | None


class BedRequestView(Shown):
    """What an encounter needs: in a certain ward, or in any that is fit."""

    encounter_id: UUID
    patient_id: UUID
    facility_id: UUID
    ward_id: UUID | None
    isolation: bool
    status: RequestStatus
    requested_at: datetime
