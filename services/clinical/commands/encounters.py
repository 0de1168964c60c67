"""When patients are here: from the plan of an encounter to its end."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock, publish
from contracts.clinical import (
    DischargeRequested,
    EncounterAdmitted,
    EncounterCancelled,
    EncounterClass,
    EncounterDischarged,
    EncounterStarted,
)
from services.clinical import rules
from services.clinical.commands.audit import ITSELF, audit
from services.clinical.replicas import FacilityReference
from services.clinical.tables import Encounter, EncounterOrder, Patient


async def plan_encounter(
    session: AsyncSession,
    *,
    patient_id: UUID,
    encounter_class: EncounterClass,
    planned_at: datetime | None = None,
    encounter_id: UUID | None = None,
    ward_id: UUID | None = None,
    isolation: bool = False,
) -> Encounter:
    """A patient is going to be seen.

    Raises NotFound, NotYet, FacilityIsNotActive, PatientIsInactive, EncounterIsAfterDeath, OnlyAnInpatientNeedsABed.
    """
    patient = await Patient.current_held(session, patient_id)
    await FacilityReference.require_active(session, patient.facility_id)
    rules.check_treated(patient)
    rules.check_bed_wanted(encounter_class, ward_id, isolation)
    at = planned_at or clock.now()
    rules.check_alive(await FacilityReference.day_at(session, patient.facility_id, at), patient.deceased_on)
    encounter = Encounter.belonging_to(
        patient,
        recorded_for=patient_id,
        encounter_id=encounter_id or uuid4(),
        encounter_class=encounter_class,
        status="planned",
        planned_at=at,
        ward_id=ward_id,
        isolation=isolation,
    )
    session.add(encounter)
    return encounter


async def arrive(session: AsyncSession, encounter_id: UUID, *, at: datetime | None = None) -> Encounter:
    """The patient is here. Raises NotFound, EncounterCannotBecome, TimeIsInTheFuture."""
    encounter = await Encounter.locked(session, encounter_id)
    encounter.become("arrived")
    encounter.arrived_at = rules.check_happened(at or clock.now(), clock.now())
    return encounter


async def start_encounter(
    session: AsyncSession,
    encounter_id: UUID,
    *,
    at: datetime | None = None,
    ward_id: UUID | None = None,
    isolation: bool | None = None,
    admit: bool = True,
) -> Encounter:
    """The patient is being seen; an inpatient is admitted, to a bed in `ward_id` and alone where that is planned or said now.

    admit: False for a stay of the past that is only written down, and needs no bed any more.
    Raises NotFound, EncounterCannotBecome, TimeIsInTheFuture, EncounterIsAfterDeath, OnlyAnInpatientNeedsABed,
    PatientIsAlreadyAnInpatient, FacilityIsNotActive.
    """
    # The patient before the encounter, as a merge takes them: nobody dies or becomes another one meanwhile.
    patient = await Patient.current_held(session, (await Encounter.seen(session, encounter_id)).recorded_for)
    encounter = await Encounter.locked(session, encounter_id)
    stays = await Encounter.open_stays(session, patient.patient_id)
    encounter.become("in_progress")
    started_at = rules.check_happened(at or clock.now(), clock.now())
    rules.check_alive(await FacilityReference.day_at(session, patient.facility_id, started_at), patient.deceased_on)
    encounter.started_at = started_at
    encounter.ward_id = ward_id or encounter.ward_id
    encounter.isolation = encounter.isolation if isolation is None else isolation
    rules.check_bed_wanted(encounter.encounter_class, encounter.ward_id, encounter.isolation)
    publish(session, EncounterStarted.of(encounter))
    if encounter.encounter_class == "inpatient" and admit:
        rules.check_admission(stays)
        await _admit(session, encounter)
    return encounter


async def request_discharge(session: AsyncSession, encounter_id: UUID) -> Encounter:
    """Somebody means to discharge an inpatient.

    Raises NotFound, DischargeIsRequestedForInpatients, DischargeIsAlreadyRequested.
    """
    encounter = await Encounter.locked(session, encounter_id)
    rules.check_discharge_request(encounter)
    encounter.discharge_requested_at = clock.now()
    publish(session, DischargeRequested.of(encounter, requested_at=encounter.discharge_requested_at))
    return encounter


async def discharge(
    session: AsyncSession,
    encounter_id: UUID,
    *,
    at: datetime | None = None,
    override_reason: str | None = None,
    by: str = ITSELF,
) -> Encounter:
    """The encounter is over; an inpatient goes with urgent lab orders open only for a reason, which is kept.

    Raises NotFound, EncounterCannotBecome, DischargeIsBeforeTheStart, TimeIsInTheFuture, OpenStatOrdersBlockDischarge.
    """
    encounter = await Encounter.locked(session, encounter_id)
    encounter.become("finished")
    encounter.discharged_at = rules.check_discharge(at or clock.now(), encounter.started_at, clock.now())
    orders = await EncounterOrder.blocking(session, encounter_id)
    if rules.overrides_discharge(encounter.encounter_class, orders, override_reason):
        encounter.override_reason = override_reason
        patient = await Patient.seen(session, encounter.patient_id)
        audit(session, "discharge_overridden", patient, encounter_id, by=by, reason=override_reason)
    publish(session, EncounterDischarged.of(encounter))
    return encounter


async def cancel_encounter(session: AsyncSession, encounter_id: UUID, *, reason: str) -> Encounter:
    """The encounter will not take place. Raises NotFound, EncounterCannotBecome."""
    encounter = await Encounter.locked(session, encounter_id)
    encounter.become("cancelled")
    encounter.reason, encounter.cancelled_at = reason, clock.now()
    publish(session, EncounterCancelled.of(encounter))
    return encounter


async def mark_encounter_as_error(session: AsyncSession, encounter_id: UUID, *, reason: str) -> Encounter:
    """The encounter was entered in error: it stays to be seen, but never was. Raises NotFound, EncounterCannotBecome."""
    encounter = await Encounter.locked(session, encounter_id)
    encounter.become("entered_in_error")
    encounter.reason, encounter.cancelled_at = reason, clock.now()
    publish(session, EncounterCancelled.of(encounter))
    return encounter


async def _admit(session: AsyncSession, encounter: Encounter) -> None:
    await FacilityReference.require_active(session, encounter.facility_id)
    encounter.admitted_at = encounter.started_at
    publish(session, EncounterAdmitted.of(encounter))
