"""Who may see what."""

from __future__ import annotations

from typing import Annotated, TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from broker import Principal, allow
from services.facility.tables import Bed, Department, Facility, Ward

FacilityManager = Annotated[Principal, allow("facility_manager")]
BedManager = Annotated[Principal, allow("bed_manager")]
Staff = Annotated[Principal, allow("facility_manager", "bed_manager", "clinician", "nurse", "registrar")]

Seen = TypeVar("Seen", Facility, Department, Ward, Bed)


async def visible(session: AsyncSession, who: Principal, kind: type[Seen], key: UUID) -> Seen:
    """The row, if the token may see its facility. Raises NotFound."""
    row = await kind.seen(session, key)
    who.at(row.facility_id)
    return row
