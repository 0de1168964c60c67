"""Who may see what: a token sees the patients of its facilities; any other patient does not exist for it.

Unless it breaks the glass: then one record is open to it for a time.
"""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from broker import NotFound, Principal, allow, clock
from services.clinical.tables import BreakGlass, Patient

Registrar = Annotated[Principal, allow("registrar")]
Clinician = Annotated[Principal, allow("clinician")]
Bedside = Annotated[Principal, allow("clinician", "nurse")]
Staff = Annotated[Principal, allow("registrar", "clinician", "nurse")]
PrivacyOfficer = Annotated[Principal, allow("privacy_officer")]
Administrator = Annotated[Principal, allow("administrator")]


async def record_of(session: AsyncSession, who: Principal, patient_id: UUID) -> Patient:
    """Whose record it is now, merges followed: for the staff of its facility, and for who broke the glass. Raises NotFound."""
    patient = await Patient.current(session, patient_id)
    if is_own(who, patient) or await BreakGlass.is_open(session, patient.patient_id, to=who.subject, at=clock.now()):
        return patient
    raise NotFound


def is_own(who: Principal, patient: Patient) -> bool:
    """Whether the token has a place at the patient's facility."""
    return who.facilities is None or patient.facility_id in who.facilities
