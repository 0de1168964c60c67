"""Disputes, as the API takes and gives them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from broker import Asked, Shown
from contracts.money import Money
from services.payment.rules import DisputeStatus


class NewEvidence(Asked):
    """Why the money is ours. It goes to the payer's bank: no health data."""

    text: Annotated[str, Field(min_length=1, max_length=2000)]


class Dispute(Shown):
    """A dispute."""

    dispute_id: UUID
    payment_id: UUID
    invoice_id: UUID | None
    patient_id: UUID
    facility_id: UUID
    amount: Money
    status: DisputeStatus
    reason: str
    evidence_due_at: datetime
    evidence_by: str | None
    evidence_at: datetime | None
    opened_at: datetime
    decided_at: datetime | None
