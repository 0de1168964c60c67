"""Instalment plans, as the API takes and gives them."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from pydantic import Field

from broker import Asked, Shown
from contracts.money import Money
from services.payment.rules import GRACE_DAYS, MISSED_UNTIL_DEFAULT, InstallmentStatus, PlanStatus


class NewPlan(Asked):
    """An invoice to be paid in parts, a month apart."""

    invoice_id: UUID
    count: Annotated[int, Field(ge=2, le=60)]
    first_due_on: Annotated[date, Field(le=date(2200, 1, 1))]
    grace_days: Annotated[int, Field(ge=0, le=60)] = GRACE_DAYS
    missed_until_default: Annotated[int, Field(ge=1, le=12)] = MISSED_UNTIL_DEFAULT


class Installment(Shown):
    """One part of a plan; its amounts are in the plan's currency."""

    number: int
    due_on: date
    amount: Decimal
    paid: Decimal
    status: InstallmentStatus


class Plan(Shown):
    """A plan."""

    plan_id: UUID
    invoice_id: UUID
    patient_id: UUID
    facility_id: UUID
    currency: str
    open_amount: Money
    status: PlanStatus
    grace_days: int
    missed_until_default: int
    agreed_by: str
    agreed_at: datetime
    ended_at: datetime | None
    installments: list[Installment]
