"""What facility keeps copies of."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.orm import Mapped

from broker import MergingReplica
from contracts.clinical import PatientChanged, PatientStatus, Sex
from services.facility.tables import Base


class PatientReference(MergingReplica[PatientChanged], Base):
    """Whose bed it is: which rooms are fit for them, and whom they were merged into."""

    __tablename__ = "patient_reference"

    facility_id: Mapped[UUID]
    sex: Mapped[Sex]
    status: Mapped[PatientStatus]
