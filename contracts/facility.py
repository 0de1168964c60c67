"""What facility publishes: the houses, their wards and beds, and who lies where."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from contracts.event import Event, StateEvent

FacilityStatus = Literal["active", "inactive"]
FacilityKind = Literal["hospital", "clinic", "laboratory", "pharmacy"]
BedStatus = Literal["available", "reserved", "occupied", "cleaning", "maintenance", "blocked"]
ReleaseReason = Literal["discharged", "transferred", "cancelled", "deceased", "reservation_expired"]


class FacilityChanged(StateEvent, name="facility.changed", version=1, key="facility_id"):
    """All that others may know of a facility; feeds their references."""

    facility_id: UUID
    name: str
    kind: FacilityKind
    status: FacilityStatus
    time_zone: str = Field(examples=["Africa/Khartoum"])
    """IANA."""
    currency: str = Field(examples=["USD"])
    """ISO 4217."""


class BedStatusChanged(StateEvent, name="bed.status_changed", version=1, key="bed_id"):
    """All that others may know of a bed; feeds their references. `encounter_id` is who it is reserved for or occupied by."""

    bed_id: UUID
    ward_id: UUID
    facility_id: UUID
    label: str
    ward_name: str
    status: BedStatus
    encounter_id: UUID | None


class BedReserved(Event, name="bed.reserved", version=1, key="bed_id"):
    """A bed is kept for an encounter until `reserved_until`."""

    bed_id: UUID
    ward_id: UUID
    facility_id: UUID
    encounter_id: UUID
    patient_id: UUID
    reserved_until: datetime


class BedReservationExpired(Event, name="bed.reservation.expired", version=1, key="bed_id"):
    """A reservation has lasted its time; facility tells itself, to free the bed if nobody came."""

    bed_id: UUID
    encounter_id: UUID


class BedAssigned(Event, name="bed.assigned", version=1, key="encounter_id"):
    """A patient lies in a bed; after a transfer `transferred_from` is the bed that was left."""

    bed_id: UUID
    ward_id: UUID
    facility_id: UUID
    encounter_id: UUID
    patient_id: UUID
    transferred_from: UUID | None
    assigned_at: datetime


class BedReleased(Event, name="bed.released", version=1, key="encounter_id"):
    """An encounter no longer has this bed."""

    bed_id: UUID
    ward_id: UUID
    facility_id: UUID
    encounter_id: UUID
    patient_id: UUID
    reason: ReleaseReason
    released_at: datetime


class BedRequestWaiting(Event, name="bed.request.waiting", version=1, key="encounter_id"):
    """No bed is fit and free: the encounter waits for the first that is."""

    encounter_id: UUID
    patient_id: UUID
    facility_id: UUID
    waiting_since: datetime


class WardFull(Event, name="ward.full", version=1, key="ward_id"):
    """The last bed of a ward was taken."""

    ward_id: UUID
    facility_id: UUID
    capacity: int
    full_since: datetime
