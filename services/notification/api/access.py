"""Who may use notification's routes."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from broker import NotFound, Principal, allow, allow_everywhere
from services.notification.replicas import PatientReference

Anybody = Annotated[Principal, allow()]
Manager = Annotated[Principal, allow("notification_manager")]
Editor = Annotated[Principal, allow_everywhere("notification_manager")]
PatientDesk = Annotated[Principal, allow("registrar", "nurse", "clinician", "notification_manager")]


def own_id(who: Principal) -> UUID:
    """The user who asks. Raises NotFound for a program: nobody tells it anything."""
    if who.user_id is None:
        raise NotFound
    return who.user_id


async def check_patient(session: AsyncSession, who: Principal, patient_id: UUID) -> None:
    """Whether the patient is one of the facilities that may be seen. Raises NotFound."""
    patient = await PatientReference.find(session, patient_id)
    if patient is None:
        raise NotFound
    who.at(patient.facility_id)
