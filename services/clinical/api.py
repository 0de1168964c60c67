"""Clinical over HTTP. A token sees the patients of its facilities; any other patient does not exist for it."""

from __future__ import annotations

from typing import Annotated, TypeVar
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import Idempotent, NotFound, Page, PageRequest, Principal, Reading, Router, Transaction, allow
from services.clinical import commands
from services.clinical.tables import Encounter, Entry, PaidInvoiceEntry, Patient, ResultEntry
from services.clinical.views import (
    Death,
    Demographics,
    EncounterView,
    Merge,
    Moment,
    PaidInvoiceView,
    PatientSearch,
    PatientView,
    PlannedEncounter,
    Reason,
    Registration,
    ResultView,
)

Registrar = Annotated[Principal, allow("registrar")]
Clinician = Annotated[Principal, allow("clinician")]
Staff = Annotated[Principal, allow("registrar", "clinician")]

Seen = TypeVar("Seen", Patient, Encounter)

router = Router(tags=["clinical"])


async def visible(session: AsyncSession, who: Principal, kind: type[Seen], key: UUID) -> Seen:
    """The row, if the token may see its facility. Raises NotFound."""
    row = await kind.seen(session, key)
    who.at(row.facility_id)
    return row


@router.post("/patients", status_code=201)
async def register_patient(asked: Registration, session: Transaction, who: Registrar, key: Idempotent) -> PatientView:
    """Makes a person a patient of a facility."""
    who.at(asked.facility_id)
    return PatientView.model_validate(await commands.register_patient(session, **dict(asked)))


@router.get("/patients")
async def list_patients(session: Reading, who: Staff, page: PageRequest) -> Page[PatientView]:
    """The patients of the token's facilities, in the order in which they were registered."""
    query = select(Patient).where(who.within(Patient.facility_id))
    by = [Patient.registered_at, Patient.patient_id]
    return await page.read(session, query, by=by, view=PatientView.model_validate)


@router.post("/patients/search")
async def find_patient(asked: PatientSearch, session: Reading, who: Staff) -> PatientView:
    """The patient with a medical record number."""
    who.at(asked.facility_id)
    patient = await session.scalar(select(Patient).filter_by(**dict(asked)))
    if patient is None:
        raise NotFound
    return PatientView.model_validate(patient)


@router.get("/patients/{patient_id}")
async def get_patient(patient_id: UUID, session: Reading, who: Staff) -> PatientView:
    """One patient; a merged record says where it redirects to."""
    return PatientView.model_validate(await visible(session, who, Patient, patient_id))


@router.patch("/patients/{patient_id}")
async def update_demographics(patient_id: UUID, asked: Demographics, session: Transaction, who: Registrar) -> PatientView:
    """Changes what is given."""
    await visible(session, who, Patient, patient_id)
    return PatientView.model_validate(
        await commands.update_demographics(session, patient_id, **asked.model_dump(exclude_unset=True))
    )


@router.post("/patients/{patient_id}/merge")
async def merge_patient(patient_id: UUID, asked: Merge, session: Transaction, who: Registrar, key: Idempotent) -> PatientView:
    """Everything of this patient becomes that of another, which is given back."""
    await visible(session, who, Patient, patient_id)
    await visible(session, who, Patient, asked.into_patient_id)
    return PatientView.model_validate(await commands.merge_patients(session, patient_id, **dict(asked)))


@router.post("/patients/{patient_id}/unmerge")
async def unmerge_patient(patient_id: UUID, session: Transaction, who: Registrar, key: Idempotent) -> PatientView:
    """Takes a merge back."""
    await visible(session, who, Patient, patient_id)
    return PatientView.model_validate(await commands.unmerge_patient(session, patient_id))


@router.post("/patients/{patient_id}/death")
async def record_death(patient_id: UUID, asked: Death, session: Transaction, who: Clinician, key: Idempotent) -> PatientView:
    """Records that a patient died."""
    await visible(session, who, Patient, patient_id)
    return PatientView.model_validate(await commands.record_death(session, patient_id, **dict(asked)))


@router.post("/patients/{patient_id}/deactivate")
async def deactivate_patient(patient_id: UUID, session: Transaction, who: Registrar, key: Idempotent) -> PatientView:
    """The facility no longer treats this patient."""
    await visible(session, who, Patient, patient_id)
    return PatientView.model_validate(await commands.deactivate_patient(session, patient_id))


@router.post("/patients/{patient_id}/reactivate")
async def reactivate_patient(patient_id: UUID, session: Transaction, who: Registrar, key: Idempotent) -> PatientView:
    """The facility treats this patient again."""
    await visible(session, who, Patient, patient_id)
    return PatientView.model_validate(await commands.reactivate_patient(session, patient_id))


@router.get("/patients/{patient_id}/encounters")
async def list_encounters(patient_id: UUID, session: Reading, who: Staff, page: PageRequest) -> Page[EncounterView]:
    """The patient's encounters, the newest first; merges are followed."""
    await visible(session, who, Patient, patient_id)
    patient = await Patient.current(session, patient_id)
    query = select(Encounter).where(Encounter.patient_id == patient.patient_id)
    by = [Encounter.planned_at.desc(), Encounter.encounter_id.desc()]
    return await page.read(session, query, by=by, view=EncounterView.model_validate)


@router.get("/patients/{patient_id}/results")
async def list_results(patient_id: UUID, session: Reading, who: Clinician, page: PageRequest) -> Page[ResultView]:
    """The lab results in the patient's record, with their corrections, the newest first; merges are followed."""
    await visible(session, who, Patient, patient_id)
    patient = await Patient.current(session, patient_id)
    query = select(ResultEntry).where(ResultEntry.patient_id == patient.patient_id)
    return await page.read(session, query, by=newest(ResultEntry), view=ResultView.model_validate)


@router.get("/patients/{patient_id}/paid-invoices")
async def list_paid_invoices(patient_id: UUID, session: Reading, who: Staff, page: PageRequest) -> Page[PaidInvoiceView]:
    """The patient's invoices that are paid, the newest first; merges are followed."""
    await visible(session, who, Patient, patient_id)
    patient = await Patient.current(session, patient_id)
    query = select(PaidInvoiceEntry).where(PaidInvoiceEntry.patient_id == patient.patient_id)
    return await page.read(session, query, by=newest(PaidInvoiceEntry), view=PaidInvoiceView.model_validate)


@router.post("/encounters", status_code=201)
async def plan_encounter(asked: PlannedEncounter, session: Transaction, who: Staff, key: Idempotent) -> EncounterView:
    """A patient is going to be seen."""
    await visible(session, who, Patient, asked.patient_id)
    return EncounterView.model_validate(await commands.plan_encounter(session, **dict(asked)))


@router.get("/encounters/{encounter_id}")
async def get_encounter(encounter_id: UUID, session: Reading, who: Staff) -> EncounterView:
    """One encounter."""
    return EncounterView.model_validate(await visible(session, who, Encounter, encounter_id))


@router.post("/encounters/{encounter_id}/arrive")
async def arrive(encounter_id: UUID, asked: Moment, session: Transaction, who: Staff, key: Idempotent) -> EncounterView:
    """The patient is here."""
    await visible(session, who, Encounter, encounter_id)
    return EncounterView.model_validate(await commands.arrive(session, encounter_id, **dict(asked)))


@router.post("/encounters/{encounter_id}/start")
async def start_encounter(
    encounter_id: UUID, asked: Moment, session: Transaction, who: Clinician, key: Idempotent
) -> EncounterView:
    """The patient is being seen."""
    await visible(session, who, Encounter, encounter_id)
    return EncounterView.model_validate(await commands.start_encounter(session, encounter_id, **dict(asked)))


@router.post("/encounters/{encounter_id}/discharge")
async def discharge(encounter_id: UUID, asked: Moment, session: Transaction, who: Clinician, key: Idempotent) -> EncounterView:
    """The encounter is over: what it cost can be invoiced."""
    await visible(session, who, Encounter, encounter_id)
    return EncounterView.model_validate(await commands.discharge(session, encounter_id, **dict(asked)))


@router.post("/encounters/{encounter_id}/cancel")
async def cancel_encounter(
    encounter_id: UUID, asked: Reason, session: Transaction, who: Staff, key: Idempotent
) -> EncounterView:
    """The encounter will not take place."""
    await visible(session, who, Encounter, encounter_id)
    return EncounterView.model_validate(await commands.cancel_encounter(session, encounter_id, **dict(asked)))


@router.post("/encounters/{encounter_id}/entered-in-error")
async def mark_encounter_as_error(
    encounter_id: UUID, asked: Reason, session: Transaction, who: Clinician, key: Idempotent
) -> EncounterView:
    """The encounter never was; it stays to be seen."""
    await visible(session, who, Encounter, encounter_id)
    return EncounterView.model_validate(await commands.mark_encounter_as_error(session, encounter_id, **dict(asked)))


def newest(entry: type[Entry]) -> list[object]:
    """The order of entries in a record: the newest first."""
    return [entry.entered_at.desc(), entry.entry_id.desc()]
