"""Opening a record in an emergency, by somebody who has no place at its facility."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from broker import NotFound, clock
from services.clinical import rules
from services.clinical.commands.audit import audit
from services.clinical.rules import BreakGlassStatus
from services.clinical.tables import Base, BreakGlass, Patient


async def break_glass(session: AsyncSession, patient_id: UUID, *, reason: str, by: str, is_own: bool) -> BreakGlass:
    """Opens a record to `by` for a time; is_own says that it is open to them anyway.

    Raises NotFound, AccessIsGivenAlready, GlassIsBrokenAlready.
    """
    patient, now = await Patient.current_held(session, patient_id), clock.now()
    open_ = await BreakGlass.open_to(session, by, patient.patient_id, at=now)
    rules.check_glass(is_own=is_own, is_open=open_ is not None)
    grant = BreakGlass.belonging_to(
        patient,
        recorded_for=patient_id,
        opened_by=by,
        reason=reason,
        opened_at=now,
        expires_at=now + rules.BROKEN_FOR,
        status="unreviewed",
    )
    session.add(grant)
    await session.flush()
    audit(session, "glass_broken", patient, grant.grant_id, by=by, reason=reason)
    return grant


async def see_behind_glass(session: AsyncSession, patient: Patient, part: type[Base], *, by: str) -> None:
    """Lets somebody for whom the glass was broken see or write a part of the record, and says so in the audit log.

    Raises NotFound for everybody else.
    """
    grant = await BreakGlass.open_to(session, by, patient.patient_id, at=clock.now())
    if grant is None:
        raise NotFound
    audit(session, "seen_behind_glass", patient, grant.grant_id, by=by, reason=grant.reason, part=part.__tablename__)


async def review_break_glass(session: AsyncSession, grant_id: UUID, *, status: BreakGlassStatus, by: str) -> BreakGlass:
    """Somebody else says whether it was justified. Raises NotFound, BreakGlassCannotBecome, NobodyReviewsThemselves."""
    grant = await BreakGlass.locked(session, grant_id)
    rules.check_reviewer(grant.opened_by, by)
    grant.review(status, by=by, at=clock.now())
    audit(session, "break_glass_reviewed", await Patient.seen(session, grant.patient_id), grant_id, by=by, reason=status)
    return grant
