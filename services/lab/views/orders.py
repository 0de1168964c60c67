"""Orders, as they are asked for and shown."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from broker import Asked, Shown
from contracts.lab import Priority
from services.lab.rules import OrderStatus, TestStatus
from services.lab.views.common import Code, Text


class AskedOrder(Asked):
    """Tests for a patient. Nobody hears of a draft until it is sent. `duplicate_reason`: why one is ordered again so soon."""

    patient_id: UUID
    tests: Annotated[list[Code], Field(min_length=1, max_length=100)]
    priority: Priority = "routine"
    encounter_id: UUID | None = None
    duplicate_reason: Text | None = None


class LineView(Shown):
    """A test of an order; `reflex_of` is the result that asked for it, where nobody ordered it."""

    test_code: str
    test_name: str
    sample_id: UUID | None
    status: TestStatus
    reflex_of: UUID | None


class OrderView(Shown):
    """An order; `recollects` is the order whose sample could not be used."""

    order_id: UUID
    patient_id: UUID
    facility_id: UUID
    encounter_id: UUID | None
    status: OrderStatus
    priority: Priority
    recollects: UUID | None
    reason: str | None
    duplicate_reason: str | None
    ordered_by: UUID | None
    placed_at: datetime
    completed_at: datetime | None
    cancelled_at: datetime | None
    lines: list[LineView]
