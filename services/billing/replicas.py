"""What billing keeps copies of."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.orm import Mapped, mapped_column

from broker import Replica
from contracts.clinical import PatientChanged
from contracts.facility import FacilityChanged, FacilityStatus
from services.billing.tables import Base


class PatientReference(Replica[PatientChanged], Base):
    """Whom an invoice is for."""

    __tablename__ = "patient_reference"

    facility_id: Mapped[UUID]
    medical_record_number: Mapped[str]
    full_name: Mapped[str]
    merged_into: Mapped[UUID | None]


class FacilityReference(Replica[FacilityChanged], Base):
    """Where an invoice is issued, only at one that is active, and whose days count."""

    __tablename__ = "facility_reference"

    status: Mapped[FacilityStatus]
    time_zone: Mapped[str] = mapped_column(server_default="UTC", comment="IANA; UTC until its owner says")
