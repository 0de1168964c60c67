"""What the lab knows of facilities, patients and encounters."""

from __future__ import annotations

from datetime import date
from typing import Self
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from broker import Replica
from contracts.clinical import EncounterChanged, EncounterStatus, PatientChanged, PatientStatus, Sex
from contracts.facility import FacilityChanged, FacilityStatus
from services.lab.tables import Base


class FacilityReference(Replica[FacilityChanged], Base):
    """A facility: whether anything is ordered there."""

    __tablename__ = "facility_reference"

    status: Mapped[FacilityStatus]


class EncounterReference(Replica[EncounterChanged], Base):
    """An encounter of clinical: whose it is, and whether it still goes on."""

    __tablename__ = "encounter_reference"

    patient_id: Mapped[UUID]
    status: Mapped[EncounterStatus]


class PatientReference(Replica[PatientChanged], Base):
    """A patient of clinical: whose sample it is, and which reference ranges apply."""

    __tablename__ = "patient_reference"

    facility_id: Mapped[UUID]
    medical_record_number: Mapped[str]
    full_name: Mapped[str]
    birth_date: Mapped[date]
    sex: Mapped[Sex]
    status: Mapped[PatientStatus]
    merged_into: Mapped[UUID | None] = mapped_column(index=True)

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

    @classmethod
    async def identities(cls, session: AsyncSession, patient_id: UUID) -> set[UUID]:
        """Every id under which something of this patient may be kept: their own, and those that were merged into it."""
        known, found = {patient_id}, {patient_id}
        while found:
            merged = await session.scalars(select(cls.id).where(cls.merged_into.in_(found)))
            found = set(merged) - known
            known |= found
        return known
