"""How patients want to be told, as they say it to the staff."""

from __future__ import annotations

from uuid import UUID

from broker import Router, Transaction
from services.notification import commands, views
from services.notification.api.access import PatientDesk, check_patient

router = Router(prefix="/patients/{patient_id}")


@router.put("/preferences")
async def set_preference(
    patient_id: UUID, asked: views.NewPreference, who: PatientDesk, session: Transaction
) -> views.Preference:
    """Says whether the patient wants to hear of a topic over a channel."""
    await check_patient(session, who, patient_id)
    said = await commands.set_preference(session, recipient_kind="patient", recipient_id=patient_id, **dict(asked))
    return views.Preference.model_validate(said)


@router.put("/contact-hours")
async def set_contact_hours(
    patient_id: UUID, asked: views.NewContactHours, who: PatientDesk, session: Transaction
) -> views.ContactHours:
    """Says when the patient may be disturbed, and when they want everything together."""
    await check_patient(session, who, patient_id)
    hours = commands.Hours(**dict(asked))
    said = await commands.set_contact_hours(session, recipient_kind="patient", recipient_id=patient_id, hours=hours)
    return views.ContactHours.model_validate(said)
