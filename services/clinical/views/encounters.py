"""Encounters, as the API takes and shows them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import AwareDatetime

from broker import Asked, Shown
from contracts.clinical import EncounterClass, EncounterStatus
from services.clinical.views.base import Moment, Text


class PlannedEncounter(Asked):
    """A patient who is going to be seen; now, when no time is given."""

    patient_id: UUID
    encounter_class: EncounterClass
    planned_at: AwareDatetime | None = None
    ward_id: UUID | None = None
    """Where an inpatient is to lie, if anywhere in particular."""
    isolation: bool = False
    """Whether an inpatient needs a single room."""


class Start(Moment):
    """When it began, and for an inpatient what bed is needed; as planned, where nothing is said."""

    ward_id: UUID | None = None
    isolation: bool | None = None


class Discharge(Moment):
    """When it ended, and why an inpatient goes although urgent lab orders are open."""

    override_reason: Text | None = None


class EncounterView(Shown):
    """An encounter."""

    encounter_id: UUID
    patient_id: UUID
    facility_id: UUID
    encounter_class: EncounterClass
    status: EncounterStatus
    planned_at: datetime
    arrived_at: datetime | None
    started_at: datetime | None
    discharged_at: datetime | None
    cancelled_at: datetime | None
    ward_id: UUID | None
    isolation: bool
    admitted_at: datetime | None
    bed_id: UUID | None
    discharge_requested_at: datetime | None
    override_reason: str | None
    reason: str | None


class BedView(Shown):
    """A bed."""

    ward_id: UUID
    label: str
    ward_name: str


class EncounterDetail(EncounterView):
    """An encounter with the bed, and the urgent lab orders that an inpatient waits for."""

    bed: BedView | None
    waits_for_orders: list[UUID]
