"""The audit log."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock
from services.clinical.tables import AuditAction, AuditEntry, Patient

ITSELF = "clinical"
"""Who acts when no user asks."""


def audit(
    session: AsyncSession,
    action: AuditAction,
    patient: Patient,
    subject_id: UUID,
    *,
    by: str,
    reason: str | None = None,
    part: str | None = None,
) -> None:
    """Adds a line: who did what to `subject_id`, which is about this patient, and why; with which part of the record."""
    session.add(
        AuditEntry(
            occurred_at=clock.now(),
            action=action,
            actor=by,
            facility_id=patient.facility_id,
            patient_id=patient.patient_id,
            subject_id=subject_id,
            reason=reason,
            part=part,
        )
    )
