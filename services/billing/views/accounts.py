"""Patients' accounts, as the API takes and shows them."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from pydantic import BaseModel

from broker import Asked, Shown
from contracts.billing import CollectionReason, CollectionStatus
from contracts.money import Money
from services.billing.rules import Bucket
from services.billing.tables import Action
from services.billing.views.fields import AboveZero, Currency


class Account(BaseModel):
    """A patient's account: what they owe and what they have to their credit, per currency."""

    patient_id: UUID
    facility_id: UUID
    full_name: str
    medical_record_number: str
    owed: list[Money]
    credit: list[Money]


class Aging(BaseModel):
    """What is open, by days past due, per currency."""

    on: date
    buckets: dict[str, dict[Bucket, Money]]


class Credit(Shown):
    """Money of a patient that settled nothing yet; `left` of it is still there."""

    credit_id: UUID
    patient_id: UUID
    facility_id: UUID
    invoice_id: UUID | None
    payment_id: UUID
    amount: Decimal
    currency: str
    left: Money


class Application(Asked):
    """Which invoice to settle with a credit; with all that is left of it when no amount is given."""

    invoice_id: UUID
    amount: AboveZero | None = None


class NewCollection(Asked):
    """Whose overdue debts others are to ask for."""

    patient_id: UUID
    facility_id: UUID
    currency: Currency


class CollectionCase(Shown):
    """What others ask for."""

    case_id: UUID
    patient_id: UUID
    facility_id: UUID
    status: CollectionStatus
    reason: CollectionReason
    balance: Money
    sent_at: datetime


class AuditEntry(Shown):
    """One decision of a person about money."""

    entry_id: UUID
    decided_at: datetime
    decided_by: str
    action: Action
    facility_id: UUID
    patient_id: UUID
    invoice_id: UUID | None
    amount: Decimal
    currency: str
