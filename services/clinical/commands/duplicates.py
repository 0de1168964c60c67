"""Records that may be of one person, and what somebody decides of them."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock
from services.clinical import rules
from services.clinical.commands.audit import audit
from services.clinical.commands.merges import merge_patients
from services.clinical.tables import DuplicateReview, Patient


async def look_for_duplicates(session: AsyncSession, patient: Patient) -> None:
    """Leaves to be reviewed each record that may be of the same person as this one, unless the pair has been in the queue.

    Nobody else may be registering or changing patients there: see `Patient.alone_at`.
    """
    known = await DuplicateReview.paired_with(session, patient.patient_id)
    for other in await Patient.like(session, patient):
        weights = rules.weights(patient, other)
        score = sum(weights.values())
        if score >= rules.REVIEW_FROM and other.patient_id not in known:
            older, newer = sorted((patient, other), key=lambda one: (one.registered_at, one.patient_id))
            session.add(
                DuplicateReview(
                    facility_id=patient.facility_id,
                    patient_id=newer.patient_id,
                    other_id=older.patient_id,
                    score=score,
                    weights=dict(weights),
                    status="open",
                    opened_at=clock.now(),
                )
            )


async def confirm_duplicate(session: AsyncSession, review_id: UUID, *, survivor_id: UUID | None = None, by: str) -> Patient:
    """The two records are of one person and are merged: into the older one, unless `survivor_id` names the other.

    For one that is merged already stands the one it redirects to. Gives the record that lives on. Raises NotFound,
    DuplicateReviewCannotBecome, SurvivorIsNotOfThisPair, PatientCannotMergeIntoThemselves, and what `merge_patients` raises.
    """
    await Patient.alone_at(session, (await DuplicateReview.seen(session, review_id)).facility_id)
    review = await DuplicateReview.locked(session, review_id)
    rules.DUPLICATE_REVIEW.moved(review.status, "confirmed")
    stands_for = {key: (await Patient.current(session, key)).patient_id for key in review.pair}
    chosen = survivor_id or review.other_id
    survivor = rules.check_survivor(stands_for.get(chosen, chosen), stands_for.values())
    merged = next((key for key in stands_for.values() if key != survivor), survivor)
    return await merge_patients(session, merged, into_patient_id=survivor, by=by)


async def dismiss_duplicate(session: AsyncSession, review_id: UUID, *, reason: str, by: str) -> DuplicateReview:
    """The two records are of two people. Raises NotFound, DuplicateReviewCannotBecome."""
    review = await DuplicateReview.locked(session, review_id)
    review.decide("dismissed", by=by, at=clock.now(), reason=reason)
    audit(session, "duplicate_dismissed", await Patient.seen(session, review.patient_id), review_id, by=by, reason=reason)
    return review
