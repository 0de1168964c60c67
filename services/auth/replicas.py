"""What auth keeps copies of."""

from __future__ import annotations

from sqlalchemy.orm import Mapped

from broker import Replica
from contracts.facility import FacilityChanged
from services.auth.tables import Base


class FacilityReference(Replica[FacilityChanged], Base):
    """Where roles can be granted."""

    __tablename__ = "facility_reference"

    status: Mapped[str]
