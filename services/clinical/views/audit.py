"""The audit log and broken glass, as the API takes and shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from broker import Asked, Shown
from services.clinical.rules import BreakGlassStatus
from services.clinical.tables import AuditAction


class BreakGlassView(Shown):
    """A record opened in an emergency."""

    grant_id: UUID
    patient_id: UUID
    facility_id: UUID
    opened_by: str
    reason: str
    opened_at: datetime
    expires_at: datetime
    status: BreakGlassStatus
    reviewed_at: datetime | None
    reviewed_by: str | None


class Verdict(Asked):
    """Whether opening the record was justified."""

    status: Literal["justified", "unjustified"]


class AuditView(Shown):
    """A line of the audit log; `part` is which part of the record was seen or written behind the glass."""

    audit_id: UUID
    occurred_at: datetime
    action: AuditAction
    actor: str
    facility_id: UUID
    patient_id: UUID
    subject_id: UUID
    reason: str | None
    part: str | None
