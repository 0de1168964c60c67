"""When patients are here."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from broker import Idempotent, Page, PageRequest, Reading, Router, Transaction, visible
from services.clinical import commands, views
from services.clinical.api.access import Bedside, Clinician, Staff, record_of
from services.clinical.replicas import BedReference
from services.clinical.tables import Encounter, EncounterOrder, Patient

router = Router()


@router.post("/encounters", status_code=201)
async def plan_encounter(
    asked: views.PlannedEncounter, session: Transaction, who: Staff, key: Idempotent
) -> views.EncounterView:
    """A patient is going to be seen."""
    await visible(session, who, Patient, asked.patient_id)
    return views.EncounterView.model_validate(await commands.plan_encounter(session, **dict(asked)))


@router.get("/patients/{patient_id}/encounters")
async def list_encounters(patient_id: UUID, session: Transaction, who: Staff, page: PageRequest) -> Page[views.EncounterView]:
    """The patient's encounters, the newest first; merges are followed."""
    patient = await record_of(session, who, patient_id, Encounter)
    query = select(Encounter).where(Encounter.patient_id == patient.patient_id)
    by = [Encounter.planned_at.desc(), Encounter.encounter_id.desc()]
    return await page.read(session, query, by=by, view=views.EncounterView.model_validate)


@router.get("/encounters/{encounter_id}")
async def get_encounter(encounter_id: UUID, session: Reading, who: Staff) -> views.EncounterDetail:
    """One encounter, with the bed and what an inpatient waits for."""
    encounter = await visible(session, who, Encounter, encounter_id)
    bed = await BedReference.find(session, encounter.bed_id) if encounter.bed_id is not None else None
    return views.EncounterDetail(
        **dict(views.EncounterView.model_validate(encounter)),
        bed=None if bed is None else views.BedView.model_validate(bed),
        waits_for_orders=list(await EncounterOrder.blocking(session, encounter_id)),
    )


@router.post("/encounters/{encounter_id}/arrive")
async def arrive(
    encounter_id: UUID, asked: views.Moment, session: Transaction, who: Staff, key: Idempotent
) -> views.EncounterView:
    """The patient is here."""
    await visible(session, who, Encounter, encounter_id)
    return views.EncounterView.model_validate(await commands.arrive(session, encounter_id, **dict(asked)))


@router.post("/encounters/{encounter_id}/start")
async def start_encounter(
    encounter_id: UUID, asked: views.Start, session: Transaction, who: Bedside, key: Idempotent
) -> views.EncounterView:
    """The patient is being seen; an inpatient is admitted."""
    await visible(session, who, Encounter, encounter_id)
    return views.EncounterView.model_validate(await commands.start_encounter(session, encounter_id, **dict(asked)))


@router.post("/encounters/{encounter_id}/request-discharge")
async def request_discharge(encounter_id: UUID, session: Transaction, who: Clinician, key: Idempotent) -> views.EncounterView:
    """An inpatient is meant to go: what is open has to be closed."""
    await visible(session, who, Encounter, encounter_id)
    return views.EncounterView.model_validate(await commands.request_discharge(session, encounter_id))


@router.post("/encounters/{encounter_id}/discharge")
async def discharge(
    encounter_id: UUID, asked: views.Discharge, session: Transaction, who: Clinician, key: Idempotent
) -> views.EncounterView:
    """The encounter is over: what it cost can be invoiced."""
    await visible(session, who, Encounter, encounter_id)
    encounter = await commands.discharge(session, encounter_id, **dict(asked), by=who.subject)
    return views.EncounterView.model_validate(encounter)


@router.post("/encounters/{encounter_id}/cancel")
async def cancel_encounter(
    encounter_id: UUID, asked: views.Reason, session: Transaction, who: Staff, key: Idempotent
) -> views.EncounterView:
    """The encounter will not take place."""
    await visible(session, who, Encounter, encounter_id)
    return views.EncounterView.model_validate(await commands.cancel_encounter(session, encounter_id, **dict(asked)))


@router.post("/encounters/{encounter_id}/entered-in-error")
async def mark_encounter_as_error(
    encounter_id: UUID, asked: views.Reason, session: Transaction, who: Clinician, key: Idempotent
) -> views.EncounterView:
    """The encounter never was; it stays to be seen."""
    await visible(session, who, Encounter, encounter_id)
    return views.EncounterView.model_validate(await commands.mark_encounter_as_error(session, encounter_id, **dict(asked)))
