"""What clinical keeps copies of."""

from __future__ import annotations

from datetime import UTC, date, datetime, tzinfo
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from broker import Replica
from contracts.facility import BedStatusChanged, FacilityChanged, FacilityStatus
from services.clinical import rules
from services.clinical.tables import Base


class FacilityReference(Replica[FacilityChanged], Base):
    """A house that patients are treated in."""

    __tablename__ = "facility_reference"

    status: Mapped[FacilityStatus]
    time_zone: Mapped[str] = mapped_column(comment="IANA")

    @classmethod
    async def require_active(cls, session: AsyncSession, facility_id: UUID) -> None:
        """Raises FacilityIsNotActive, and NotYet for a facility that is not known here."""
        rules.check_open_for_patients((await cls.require(session, facility_id)).status)

    @classmethod
    async def day_at(cls, session: AsyncSession, facility_id: UUID, moment: datetime) -> date:
        """The calendar day at a facility, by which births and deaths are dated."""
        return moment.astimezone(await cls.zone_of(session, facility_id)).date()

    @classmethod
    async def zone_of(cls, session: AsyncSession, facility_id: UUID) -> tzinfo:
        """The time zone of a facility; UTC for one that is not known here."""
        facility = await cls.find(session, facility_id)
        return UTC if facility is None else ZoneInfo(facility.time_zone)


class BedReference(Replica[BedStatusChanged], Base):
    """A bed, as it is called by those who look for a patient."""

    __tablename__ = "bed_reference"

    ward_id: Mapped[UUID]
    label: Mapped[str]
    ward_name: Mapped[str]
