"""What notification keeps copies of: how people are reached, where facilities are, what invoices are called."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Index, or_, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from broker import Replica
from contracts.auth import UserChanged
from contracts.billing import InvoiceChanged
from contracts.clinical import PatientChanged
from contracts.facility import FacilityChanged
from services.notification import rules
from services.notification.tables import Base


class PatientReference(Replica[PatientChanged], Base):
    """A patient, and how they are reached."""

    __tablename__ = "patient_reference"

    facility_id: Mapped[UUID]
    full_name: Mapped[str]
    status: Mapped[str]
    merged_into: Mapped[UUID | None] = mapped_column(index=True)
    email: Mapped[str | None]
    phone: Mapped[str | None]
    locale: Mapped[str | None]

    @classmethod
    async def is_at(cls, session: AsyncSession, patient_id: UUID, facility_id: UUID) -> bool:
        """Whether a patient is one of a facility's; nobody who is not known here is."""
        patient = await cls.find(session, patient_id)
        return patient is not None and patient.facility_id == facility_id

    @classmethod
    async def identities(cls, session: AsyncSession, patient_id: UUID) -> tuple[UUID, ...]:
        """The patient and, over several merges too, whoever was merged into them."""
        merged = select(cls.id).where(cls.merged_into == patient_id).cte(recursive=True)
        merged = merged.union(select(cls.id).join(merged, cls.merged_into == merged.c.id))
        return (patient_id, *await session.scalars(select(merged.c.id).where(merged.c.id != patient_id)))


class UserReference(Replica[UserChanged], Base):
    """A user, how they are reached, and which roles they have where."""

    __tablename__ = "user_reference"
    __table_args__ = (Index(None, "grants", postgresql_using="gin"),)

    full_name: Mapped[str]
    email: Mapped[str | None]
    phone: Mapped[str | None]
    locale: Mapped[str]
    time_zone: Mapped[str]
    status: Mapped[str]
    grants: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)

    @classmethod
    def kept(cls, event: UserChanged) -> dict[str, Any]:
        """The columns: the grants as JSON."""
        own = ("full_name", "email", "phone", "locale", "time_zone", "status")
        return {name: getattr(event, name) for name in own} | {
            "grants": [each.model_dump(mode="json") for each in event.grants]
        }

    @property
    def facilities(self) -> frozenset[UUID] | None:
        """Where they have a role; None is at every one."""
        at = {each["facility_id"] for each in self.grants}
        return None if None in at else frozenset(UUID(each) for each in at)

    @classmethod
    async def is_at(cls, session: AsyncSession, user_id: UUID, facility_id: UUID) -> bool:
        """Whether a user has a role at a facility; nobody who is not known here has."""
        user = await cls.find(session, user_id)
        return user is not None and rules.is_of_concern(facility_id, user.facilities)

    @classmethod
    async def with_role(cls, session: AsyncSession, role: str, facility_id: UUID) -> list[UUID]:
        """Who has a role at a facility, or at every one, and may sign in."""
        grants = ({"role": role, "facility_id": str(facility_id)}, {"role": role, "facility_id": None})
        has_it = or_(*(cls.grants.contains([grant]) for grant in grants))
        query = select(cls.id).where(has_it, cls.status.in_(("active", "locked")), ~cls.deleted).order_by(cls.id)
        return list(await session.scalars(query))


class FacilityReference(Replica[FacilityChanged], Base):
    """What a facility is called, and which time it is there."""

    __tablename__ = "facility_reference"

    name: Mapped[str]
    time_zone: Mapped[str]


class InvoiceReference(Replica[InvoiceChanged], Base):
    """What an invoice is called."""

    __tablename__ = "invoice_reference"

    number: Mapped[str | None]
