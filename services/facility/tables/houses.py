"""The houses that care is given in."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Mapped, mapped_column

from broker import StateOwner, publishes_state
from contracts.facility import FacilityChanged, FacilityKind, FacilityStatus
from services.facility import rules
from services.facility.tables.base import Base


@publishes_state(FacilityChanged)
class Facility(StateOwner, Base):
    """A house under one management: the tenant that everything else belongs to."""

    __tablename__ = "facilities"

    facility_id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    kind: Mapped[FacilityKind]
    status: Mapped[FacilityStatus]
    time_zone: Mapped[str] = mapped_column(comment="IANA")
    currency: Mapped[str] = mapped_column(comment="ISO 4217")
    opened_at: Mapped[datetime]

    def become(self, status: FacilityStatus) -> None:
        """Moves to another state. Raises FacilityCannotBecome."""
        self.status = rules.FACILITY.moved(self.status, status)
