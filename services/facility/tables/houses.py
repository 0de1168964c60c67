"""The houses that care is given in, their departments and wards, and how each house wants things."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from broker import StateOwner, publishes_state
from contracts.facility import FacilityChanged, FacilityKind, FacilityStatus
from services.facility import rules
from services.facility.rules import WardSex
from services.facility.tables.base import Base


@publishes_state(FacilityChanged)
class Facility(StateOwner, Base):
    """A house under one management: the tenant that everything else belongs to.

    Whoever gives out or takes back its beds locks its row first: who gets which bed is one decision at a time.
    """

    __tablename__ = "facilities"

    facility_id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    kind: Mapped[FacilityKind]
    status: Mapped[FacilityStatus]
    time_zone: Mapped[str] = mapped_column(comment="IANA")
    currency: Mapped[str] = mapped_column(comment="ISO 4217")
    opened_at: Mapped[datetime]

    @classmethod
    async def in_hand(cls, session: AsyncSession, facility_id: UUID) -> Self | None:
        """The facility, locked before anything is asked; None for one never heard of, where nobody has or needs a bed."""
        return await session.get(cls, facility_id, with_for_update=True, populate_existing=True)

    def become(self, status: FacilityStatus) -> None:
        """Moves to another state. Raises FacilityCannotBecome."""
        self.status = rules.FACILITY.moved(self.status, status)


class Department(Base):
    """A part of a house with a task of its own: surgery, maternity."""

    __tablename__ = "departments"
    __table_args__ = (UniqueConstraint("facility_id", "name"),)

    department_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    facility_id: Mapped[UUID] = mapped_column(ForeignKey("facilities.facility_id"))
    name: Mapped[str]


class Ward(Base):
    """Rooms with beds that are nursed together."""

    __tablename__ = "wards"
    __table_args__ = (UniqueConstraint("facility_id", "name"),)

    ward_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    facility_id: Mapped[UUID] = mapped_column(ForeignKey("facilities.facility_id"))
    department_id: Mapped[UUID] = mapped_column(ForeignKey("departments.department_id"), index=True)
    name: Mapped[str]
    capacity: Mapped[int] = mapped_column(comment="how many beds can be nursed at once")
    sex: Mapped[WardSex] = mapped_column(comment="whom it is for")
    isolation: Mapped[bool] = mapped_column(comment="equipped for isolation in any of its rooms")
    full_since: Mapped[datetime | None]


class FacilitySetting(Base):
    """What a house wants otherwise than by default."""

    __tablename__ = "facility_settings"

    facility_id: Mapped[UUID] = mapped_column(ForeignKey("facilities.facility_id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[Any] = mapped_column(JSONB)
    set_at: Mapped[datetime]
