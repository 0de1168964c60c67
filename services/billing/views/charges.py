"""Prices and charges, as the API takes and shows them."""

from __future__ import annotations

from datetime import date
from typing import Self
from uuid import UUID

from broker import Asked, Shown
from contracts.money import Money
from services.billing import tables
from services.billing.rules import ChargeStatus
from services.billing.views.fields import Code, NotNegative


class NewPrice(Asked):
    """What a service costs at a facility, from a day on."""

    facility_id: UUID
    code: Code
    price: NotNegative
    effective_from: date
    effective_to: date | None = None


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
    order_id: UUID | None
    procedure_id: UUID | None
    encounter_id: UUID | None
    patient_id: UUID
    facility_id: UUID
    code: str
    description: str
    service_date: date
    status: ChargeStatus
    price: Money | None

    @classmethod
    def of(cls, charge: tables.Charge) -> Self:
        """The charge as it is shown."""
        plain = {name: getattr(charge, name) for name in cls.model_fields if name != "price"}
        return cls(**plain, price=charge.price if charge.amount is not None else None)
