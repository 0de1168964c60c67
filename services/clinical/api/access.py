"""Who may see what: a token sees the patients of its facilities; any other patient does not exist for it.

Unless it breaks the glass: then one record is open to it for a time, and each look at it stands in the audit log. What reads a
record therefore does so in a transaction that can write.
"""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from broker import Principal, allow, allow_everywhere
from services.clinical import commands
from services.clinical.tables import Base, Patient

Registrar = Annotated[Principal, allow("registrar")]
Clinician = Annotated[Principal, allow("clinician")]
Bedside = Annotated[Principal, allow("clinician", "nurse")]
Staff = Annotated[Principal, allow("registrar", "clinician", "nurse")]
PrivacyOfficer = Annotated[Principal, allow("privacy_officer")]
Administrator = Annotated[Principal, allow_everywhere("administrator")]


async def record_of(session: AsyncSession, who: Principal, patient_id: UUID, part: type[Base]) -> Patient:
    """Whose record it is now, merges followed, of which a part is to be seen or written.

    For the staff of its facility; and for who broke the glass, which is audited. Raises NotFound.
    """
    patient = await Patient.current(session, patient_id)
    if not is_own(who, patient):
        await commands.see_behind_glass(session, patient, part, by=who.subject)
    return patient


def is_own(who: Principal, patient: Patient) -> bool:
    """Whether the token has a place at the patient's facility."""
    return who.facilities is None or patient.facility_id in who.facilities
