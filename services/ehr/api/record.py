"""What others say of a patient, and why what an erased user wrote stays, over HTTP."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import func, select

from broker import Page, PageRequest, Reading, Router
from services.ehr.api.seen import PrivacyOfficer, Reader, of_patient, records_of
from services.ehr.replicas import EncounterReference
from services.ehr.tables import Result, Retention
from services.ehr.views import EncounterView, ResultView, RetentionView

router = Router(tags=["record"])


@router.get("/patients/{patient_id}/results")
async def list_results(patient_id: UUID, session: Reading, who: Reader, page: PageRequest) -> Page[ResultView]:
    """A patient's lab results, the newest first, each together with what it said before it was corrected."""
    query = select(Result).where(await of_patient(session, who, patient_id, Result))
    by = [Result.first_entered_at.desc(), Result.result_id.desc()]
    return await page.read(session, query, by=by, view=ResultView.model_validate)


@router.get("/patients/{patient_id}/encounters")
async def list_encounters(patient_id: UUID, session: Reading, who: Reader, page: PageRequest) -> Page[EncounterView]:
    """A patient's encounters as clinical last said, the newest first."""
    records = await records_of(session, who, patient_id)
    query = select(EncounterReference).where(EncounterReference.patient_id.in_(records), EncounterReference.deleted.is_(False))
    began = func.coalesce(EncounterReference.started_at, EncounterReference.changed_at)
    by = [began.desc(), EncounterReference.id.desc()]
    return await page.read(session, query, by=by, view=EncounterView.model_validate)


@router.get("/retentions")
async def list_retentions(session: Reading, who: PrivacyOfficer, page: PageRequest) -> Page[RetentionView]:
    """The erased users whose entries stay in the records of the token's facilities; how many entries there, and why."""

    def shown(retention: Retention) -> RetentionView:
        known = {"user_id": retention.user_id, "reason": retention.reason, "erased_at": retention.erased_at}
        return RetentionView(**known, entries=retention.counted_at(who.facilities))

    query = select(Retention).where(Retention.at_any(who.facilities))
    return await page.read(session, query, by=[Retention.erased_at, Retention.user_id], view=shown)
