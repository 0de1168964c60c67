"""What the lab knows of facilities, patients and encounters."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped

from broker import MergingReplica, Replica
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


class PatientReference(MergingReplica[PatientChanged], Base):
    """A patient of clinical: whose sample it is, and which reference ranges apply."""

    __tablename__ = "patient_reference"

    facility_id: Mapped[UUID]
    medical_record_number: Mapped[str]
    full_name: Mapped[str]
    birth_date: Mapped[date]
    sex: Mapped[Sex]
    status: Mapped[PatientStatus]

    @property
    def identifiers(self) -> dict[str, str]:
        """What the label of this patient's samples can show."""
        return {
            "medical_record_number": self.medical_record_number,
            "full_name": self.full_name,
            "birth_date": self.birth_date.isoformat(),
        }

    @classmethod
    async def shown_under(cls, session: AsyncSession, patient_id: UUID) -> list[UUID]:
        """For whom this patient's orders may have been recorded, merges followed; an id that is not known is its own."""
        known = await cls.find(session, patient_id) is not None
        return await cls.identities(session, (await cls.current(session, patient_id)).id if known else patient_id)
