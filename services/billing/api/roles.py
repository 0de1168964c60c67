"""Who may do what in billing, and only at facilities that they may see."""

from __future__ import annotations

from typing import Annotated, TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from broker import NotFound, Principal, allow
from services.billing.tables import (
    Charge,
    CollectionCase,
    Coupon,
    Credit,
    CreditNoteRequest,
    InsuranceClaim,
    InsurancePolicy,
    Invoice,
    WriteOffRequest,
)

Reader = Annotated[Principal, allow("billing_clerk", "billing_manager", "cashier")]
Clerk = Annotated[Principal, allow("billing_clerk", "billing_manager")]
Manager = Annotated[Principal, allow("billing_manager")]
Auditor = Annotated[Principal, allow("billing_manager", "privacy_officer")]

OfAFacility = TypeVar(
    "OfAFacility",
    Charge,
    Coupon,
    CollectionCase,
    Credit,
    CreditNoteRequest,
    InsuranceClaim,
    InsurancePolicy,
    Invoice,
    WriteOffRequest,
)


async def seen(session: AsyncSession, kind: type[OfAFacility], key: UUID, who: Principal) -> OfAFacility:
    """The row, if who asks may see its facility. Raises NotFound."""
    row = await session.get(kind, key)
    if row is None:
        raise NotFound
    who.at(row.facility_id)
    return row
