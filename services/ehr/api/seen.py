"""Who may see what of a record."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from sqlalchemy import ColumnElement
from sqlalchemy.ext.asyncio import AsyncSession

from broker import NotFound, Principal, allow, visible
from services.ehr.errors import OnlyUsersWrite
from services.ehr.replicas import PatientReference
from services.ehr.tables import Note, OfPatient

Reader = Annotated[Principal, allow("clinician", "trainee", "nurse")]
"""Who treats patients."""

Author = Annotated[Principal, allow("clinician", "trainee", "nurse")]
"""Who writes in records; what exactly, the rules say by the roles that they have at the facility now."""

Clinician = Annotated[Principal, allow("clinician")]
PrivacyOfficer = Annotated[Principal, allow("privacy_officer")]
Auditor = Annotated[Principal, allow("clinician", "privacy_officer")]


def user(who: Principal) -> UUID:
    """The user who asks. Raises OnlyUsersWrite."""
    if who.user_id is None:
        raise OnlyUsersWrite
    return who.user_id


async def visible_note(session: AsyncSession, who: Principal, note_id: UUID) -> Note:
    """A note that was signed, or one's own. Raises NotFound."""
    note = await visible(session, who, Note, note_id)
    if note.signed_at is None and note.author_id != who.user_id:
        raise NotFound
    return note


async def of_patient(session: AsyncSession, who: Principal, patient_id: UUID, kind: type[OfPatient]) -> ColumnElement[bool]:
    """The condition for what belongs to a patient, if the token may see their facility. Raises NotFound."""
    return kind.recorded_for.in_(await records_of(session, who, patient_id))


async def records_of(session: AsyncSession, who: Principal, patient_id: UUID) -> list[UUID]:
    """Every record of a patient, merged ones too, if the token may see their facility. Raises NotFound."""
    patient = await PatientReference.shown(session, patient_id)
    who.at(patient.facility_id)
    return await PatientReference.identities(session, patient.id)
