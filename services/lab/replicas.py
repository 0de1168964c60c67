"""What the lab knows of patients."""

from __future__ import annotations

from datetime import date
from typing import Self
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped

from broker import Replica
from contracts.clinical import PatientChanged, PatientStatus, Sex
from services.lab.tables import Base


class PatientReference(Replica[PatientChanged], Base):
    """A patient of clinical: whose sample it is, and which reference ranges apply."""

    __tablename__ = "patient_reference"

    facility_id: Mapped[UUID]
    medical_record_number: Mapped[str]
    full_name: Mapped[str]
    birth_date: Mapped[date]
    sex: Mapped[Sex]
    status: Mapped[PatientStatus]
    merged_into: Mapped[UUID | None]

    @property
    def identifiers(self) -> dict[str, str]:
        """What the label of this patient's samples can show."""
        return {
            "medical_record_number": self.medical_record_number,
            "full_name": self.full_name,
            "birth_date": self.birth_date.isoformat(),
        }

    @classmethod
    async def current(cls, session: AsyncSession, patient_id: UUID) -> Self:
        """The patient that `patient_id` stands for now: merges are followed. Raises NotYet, NotFound."""
        patient = await cls.require(session, patient_id)
        while patient.merged_into is not None:
            patient = await cls.require(session, patient.merged_into)
        return patient
