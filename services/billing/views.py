"""What billing's API takes and gives."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field

from broker import Asked, Shown
from contracts.billing import InvoiceKind, InvoiceStatus
from contracts.money import Money
from services.billing import tables


def _above_zero(money: Money) -> Money:
    if money.amount <= 0:
        raise ValueError("the amount must be above zero")
    return money


def _not_negative(money: Money) -> Money:
    if money.amount < 0:
        raise ValueError("the amount cannot be negative")
    return money


Code = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[\w.\-]+$")]
Reason = Annotated[str, Field(min_length=1, max_length=500)]


class NewPrice(Asked):
    """What a service costs at a facility, from a day on."""

    facility_id: UUID
    code: Code
    price: Annotated[Money, AfterValidator(_not_negative)]
    effective_from: date
    effective_to: date | None = None


class NewInvoice(Asked):
    """Whose open charges to invoice: those of an encounter, or those outside any."""

    patient_id: UUID
    facility_id: UUID
    encounter_id: UUID | None = None


class Voiding(Asked):
    """Why an invoice never counted."""

    reason: Reason


class NewAdjustment(Asked):
    """What will not be asked for, and why."""

    amount: Annotated[Money, AfterValidator(_above_zero)]
    reason: Reason


class WriteOff(Asked):
    """Why an invoice is given up."""

    reason: Reason


class Price(Shown):
    """A price of the charge master."""

    price_id: UUID
    facility_id: UUID
    code: str
    price: Money
    effective_from: date
    effective_to: date | None


class Charge(Shown):
    """A charge; `price` is null while it waits for one."""

    charge_id: UUID
    order_id: UUID
    encounter_id: UUID | None
    patient_id: UUID
    facility_id: UUID
    code: str
    description: str
    service_date: date
    status: str
    price: Money | None

    @classmethod
    def of(cls, charge: tables.Charge) -> Self:
        """The charge as it is shown."""
        plain = {name: getattr(charge, name) for name in cls.model_fields if name != "price"}
        return cls(**plain, price=charge.price if charge.amount is not None else None)


class InvoiceLine(Shown):
    """A line of an invoice."""

    position: int
    priority: int
    code: str
    description: str
    quantity: Decimal
    amount: Decimal
    balance: Money


class InvoiceSummary(Shown):
    """An invoice without its lines."""

    invoice_id: UUID
    patient_id: UUID
    facility_id: UUID
    encounter_id: UUID | None
    kind: InvoiceKind
    status: InvoiceStatus
    number: str | None
    external_reference: str | None
    total: Money
    allocated: Money
    adjusted: Money
    balance: Money
    issued_at: datetime | None
    due_on: date | None
    paid_at: datetime | None


class Invoice(InvoiceSummary):
    """An invoice."""

    lines: list[InvoiceLine]


class Allocation(Shown):
    """What a payment settled of a line."""

    allocation_id: UUID
    payment_id: UUID
    line_id: UUID
    amount: Decimal
    currency: str


class Credit(Shown):
    """Money of a patient that settled nothing yet."""

    credit_id: UUID
    patient_id: UUID
    facility_id: UUID
    invoice_id: UUID | None
    payment_id: UUID
    amount: Decimal
    currency: str


class Account(BaseModel):
    """A patient's account: what they owe and what they have to their credit, per currency."""

    patient_id: UUID
    facility_id: UUID
    full_name: str
    medical_record_number: str
    owed: list[Money]
    credit: list[Money]
