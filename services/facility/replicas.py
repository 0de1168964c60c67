"""What facility keeps copies of."""

from __future__ import annotations

from typing import Self
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped

from broker import Replica
from contracts.clinical import PatientChanged, PatientStatus, Sex
from services.facility.tables import Base


class PatientReference(Replica[PatientChanged], Base):
    """Whose bed it is: which rooms are fit for them, and whom they were merged into."""

    __tablename__ = "patient_reference"

    facility_id: Mapped[UUID]
    sex: Mapped[Sex]
    status: Mapped[PatientStatus]
    merged_into: Mapped[UUID | None]

    @classmethod
    async def current(cls, session: AsyncSession, patient_id: UUID) -> Self:
        """The patient that `patient_id` stands for now: merges are followed. Raises NotYet, NotFound."""
        patient = await cls.require(session, patient_id)
        while patient.merged_into is not None:
            patient = await cls.require(session, patient.merged_into)
        return patient
