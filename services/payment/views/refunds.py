"""Refunds, as the API takes and gives them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from broker import Asked, Shown
from contracts.money import Money
from services.payment.rules import RefundStatus


class NewRefund(Asked):
    """Money that is to go back, and why."""

    amount: Money
    reason: Annotated[str, Field(min_length=1, max_length=200)]


class Refund(Shown):
    """A refund."""

    refund_id: UUID
    payment_id: UUID
    invoice_id: UUID | None
    patient_id: UUID
    facility_id: UUID
    amount: Money
    status: RefundStatus
    reason: str
    failure_code: str | None
    requested_by: str
    decided_by: str | None
    requested_at: datetime
    succeeded_at: datetime | None
