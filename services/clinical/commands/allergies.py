"""What patients do not tolerate."""

from __future__ import annotations

from typing import Unpack
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock, publish
from contracts.clinical import AllergyRecorded, AllergyRemoved
from services.clinical import rules
from services.clinical.commands.charting import Author, charted
from services.clinical.tables import Allergy, Patient, Severity


async def record_allergy(
    session: AsyncSession,
    patient_id: UUID,
    *,
    substance_code: str,
    substance: str,
    severity: Severity,
    reaction: str | None = None,
    **author: Unpack[Author],
) -> Allergy:
    """A patient does not tolerate a substance. Raises NotFound, AllergyIsAlreadyRecorded, EncounterIsOfAnotherPatient."""
    patient = await Patient.current_locked(session, patient_id)
    same = [Allergy.patient_id == patient.patient_id, Allergy.substance_code == substance_code, Allergy.status == "active"]
    rules.check_not_recorded(await session.scalar(select(func.count()).select_from(Allergy).where(*same)) or 0)
    says = {"substance_code": substance_code, "substance": substance, "severity": severity, "reaction": reaction}
    allergy = await charted(session, Allergy, patient, patient_id, author, **says, status="active")
    publish(session, AllergyRecorded.of(allergy))
    return allergy


async def remove_allergy(session: AsyncSession, allergy_id: UUID, *, reason: str, by: str) -> Allergy:
    """An allergy turned out to be none; that it was recorded stays to be seen. Raises NotFound, AllergyCannotBecome."""
    allergy = await Allergy.locked(session, allergy_id)
    allergy.remove(by=by, at=clock.now(), reason=reason)
    publish(session, AllergyRemoved.of(allergy))
    return allergy
