"""Opening records in an emergency, and who looks at it afterwards."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from broker import Idempotent, Page, PageRequest, Reading, Router, Transaction, visible
from services.clinical import commands, views
from services.clinical.api.access import Clinician, PrivacyOfficer, is_own
from services.clinical.rules import BreakGlassStatus
from services.clinical.tables import AuditEntry, BreakGlass, Patient

router = Router()


@router.post("/patients/{patient_id}/break-glass", status_code=201)
async def break_glass(
    patient_id: UUID, asked: views.Reason, session: Transaction, who: Clinician, key: Idempotent
) -> views.BreakGlassView:
    """Opens the record of another facility's patient to a clinician, for a time. It is audited and will be reviewed."""
    own = is_own(who, await Patient.current(session, patient_id))
    grant = await commands.break_glass(session, patient_id, **dict(asked), by=who.subject, is_own=own)
    return views.BreakGlassView.model_validate(grant)


@router.get("/break-glass")
async def list_broken_glass(
    session: Reading, who: PrivacyOfficer, page: PageRequest, status: BreakGlassStatus = "unreviewed"
) -> Page[views.BreakGlassView]:
    """Records that were opened in an emergency, the newest first."""
    query = select(BreakGlass).where(who.within(BreakGlass.facility_id), BreakGlass.status == status)
    by = [BreakGlass.opened_at.desc(), BreakGlass.grant_id.desc()]
    return await page.read(session, query, by=by, view=views.BreakGlassView.model_validate)


@router.post("/break-glass/{grant_id}/review")
async def review_break_glass(
    grant_id: UUID, asked: views.Verdict, session: Transaction, who: PrivacyOfficer, key: Idempotent
) -> views.BreakGlassView:
    """Says whether it was justified."""
    await visible(session, who, BreakGlass, grant_id)
    grant = await commands.review_break_glass(session, grant_id, **dict(asked), by=who.subject)
    return views.BreakGlassView.model_validate(grant)


@router.get("/audit-log")
async def read_audit_log(
    session: Reading, who: PrivacyOfficer, page: PageRequest, patient_id: UUID | None = None
) -> Page[views.AuditView]:
    """What was done that is not everyday, the newest first; of one patient, also under ids that were merged into theirs."""
    query = select(AuditEntry).where(who.within(AuditEntry.facility_id))
    if patient_id is not None:
        query = query.where(AuditEntry.patient_id.in_(await Patient.merged_through(session, patient_id)))
    by = [AuditEntry.occurred_at.desc(), AuditEntry.audit_id.desc()]
    return await page.read(session, query, by=by, view=views.AuditView.model_validate)
