"""Who may ask for what. A token sees what belongs to its facilities; anything else does not exist for it."""

from __future__ import annotations

from typing import Annotated, TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from broker import Principal, allow
from services.lab.tables import LabOrder, LabResult, Sample

Clinician = Annotated[Principal, allow("clinician")]
Technician = Annotated[Principal, allow("technician")]
Pathologist = Annotated[Principal, allow("pathologist")]
LabManager = Annotated[Principal, allow("lab_manager")]
LabStaff = Annotated[Principal, allow("technician", "pathologist", "lab_manager")]
Staff = Annotated[Principal, allow("clinician", "technician", "pathologist", "lab_manager")]

Seen = TypeVar("Seen", LabOrder, Sample, LabResult)


async def visible(session: AsyncSession, who: Principal, kind: type[Seen], key: UUID) -> Seen:
    """The row, if the token may see its facility. Raises NotFound."""
    row = await kind.seen(session, key)
    who.at(row.facility_id)
    return row
