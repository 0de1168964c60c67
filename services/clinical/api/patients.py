"""Who the patients are."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from broker import Idempotent, NotFound, Page, PageRequest, Reading, Router, Transaction, visible
from services.clinical import commands, views
from services.clinical.api.access import Clinician, Registrar, Staff, record_of
from services.clinical.rules import ReviewStatus
from services.clinical.tables import DuplicateReview, Patient

router = Router()


@router.post("/patients", status_code=201)
async def register_patient(
    asked: views.Registration, session: Transaction, who: Registrar, key: Idempotent
) -> views.PatientView:
    """Makes a person a patient of a facility."""
    who.at(asked.facility_id)
    return views.PatientView.model_validate(await commands.register_patient(session, **dict(asked)))


@router.get("/patients")
async def list_patients(session: Reading, who: Staff, page: PageRequest) -> Page[views.PatientView]:
    """The patients of the token's facilities, in the order in which they were registered."""
    query = select(Patient).where(who.within(Patient.facility_id))
    by = [Patient.registered_at, Patient.patient_id]
    return await page.read(session, query, by=by, view=views.PatientView.model_validate)


@router.post("/patients/search")
async def find_patient(asked: views.PatientSearch, session: Reading, who: Staff) -> views.PatientView:
    """The patient with a medical record number."""
    who.at(asked.facility_id)
    patient = await session.scalar(select(Patient).filter_by(**dict(asked)))
    if patient is None:
        raise NotFound
    return views.PatientView.model_validate(patient)


@router.get("/patients/{patient_id}")
async def get_patient(patient_id: UUID, session: Transaction, who: Staff) -> views.PatientView:
    """One patient; a merged record says where it redirects to."""
    patient = await Patient.seen(session, patient_id)
    await record_of(session, who, patient_id, Patient)
    return views.PatientView.model_validate(patient)


@router.patch("/patients/{patient_id}")
async def update_demographics(
    patient_id: UUID, asked: views.Demographics, session: Transaction, who: Registrar
) -> views.PatientView:
    """Changes what is given."""
    await visible(session, who, Patient, patient_id)
    return views.PatientView.model_validate(
        await commands.update_demographics(session, patient_id, **asked.model_dump(exclude_unset=True))
    )


@router.post("/patients/{patient_id}/merge")
async def merge_patient(
    patient_id: UUID, asked: views.Merge, session: Transaction, who: Registrar, key: Idempotent
) -> views.PatientView:
    """Everything of this patient becomes that of another, which is given back."""
    await visible(session, who, Patient, patient_id)
    await visible(session, who, Patient, asked.into_patient_id)
    return views.PatientView.model_validate(await commands.merge_patients(session, patient_id, **dict(asked), by=who.subject))


@router.post("/patients/{patient_id}/unmerge")
async def unmerge_patient(patient_id: UUID, session: Transaction, who: Registrar, key: Idempotent) -> views.PatientView:
    """Takes a merge back."""
    await visible(session, who, Patient, patient_id)
    return views.PatientView.model_validate(await commands.unmerge_patient(session, patient_id, by=who.subject))


@router.post("/patients/{patient_id}/death")
async def record_death(
    patient_id: UUID, asked: views.Death, session: Transaction, who: Clinician, key: Idempotent
) -> views.PatientView:
    """Records that a patient died."""
    await visible(session, who, Patient, patient_id)
    return views.PatientView.model_validate(await commands.record_death(session, patient_id, **dict(asked)))


@router.post("/patients/{patient_id}/deactivate")
async def deactivate_patient(patient_id: UUID, session: Transaction, who: Registrar, key: Idempotent) -> views.PatientView:
    """The facility no longer treats this patient."""
    await visible(session, who, Patient, patient_id)
    return views.PatientView.model_validate(await commands.deactivate_patient(session, patient_id))


@router.post("/patients/{patient_id}/reactivate")
async def reactivate_patient(patient_id: UUID, session: Transaction, who: Registrar, key: Idempotent) -> views.PatientView:
    """The facility treats this patient again."""
    await visible(session, who, Patient, patient_id)
    return views.PatientView.model_validate(await commands.reactivate_patient(session, patient_id))


@router.get("/duplicate-reviews")
async def list_duplicate_reviews(
    session: Reading, who: Registrar, page: PageRequest, status: ReviewStatus = "open"
) -> Page[views.DuplicateReviewView]:
    """Pairs of records that may be of one person, the strongest first."""
    query = select(DuplicateReview).where(who.within(DuplicateReview.facility_id), DuplicateReview.status == status)
    by = [DuplicateReview.score.desc(), DuplicateReview.review_id.desc()]
    return await page.read(session, query, by=by, view=views.DuplicateReviewView.model_validate)


@router.post("/duplicate-reviews/{review_id}/confirm")
async def confirm_duplicate(
    review_id: UUID, asked: views.Confirmation, session: Transaction, who: Registrar, key: Idempotent
) -> views.PatientView:
    """The two records are of one person: they are merged, and the one that lives on is given back."""
    await visible(session, who, DuplicateReview, review_id)
    survivor = await commands.confirm_duplicate(session, review_id, **dict(asked), by=who.subject)
    return views.PatientView.model_validate(survivor)


@router.post("/duplicate-reviews/{review_id}/dismiss")
async def dismiss_duplicate(
    review_id: UUID, asked: views.Reason, session: Transaction, who: Registrar, key: Idempotent
) -> views.DuplicateReviewView:
    """The two records are of two people."""
    await visible(session, who, DuplicateReview, review_id)
    review = await commands.dismiss_duplicate(session, review_id, **dict(asked), by=who.subject)
    return views.DuplicateReviewView.model_validate(review)
