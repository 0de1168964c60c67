"""What the health record knows of patients, encounters and users: no name of anybody."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Self
from uuid import UUID

from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from broker import Fresh, MergingReplica, NotFound, Replica
from contracts.auth import UserChanged, UserStatus
from contracts.clinical import EncounterChanged, EncounterClass, EncounterStatus, PatientChanged, PatientStatus
from services.ehr.rules import Writer
from services.ehr.tables import Base


class PatientReference(MergingReplica[PatientChanged], Base):
    """A patient of clinical: whose record it is, and where."""

    __tablename__ = "patient_reference"

    facility_id: Mapped[UUID]
    status: Mapped[PatientStatus]

    @classmethod
    async def shown(cls, session: AsyncSession, patient_id: UUID) -> Self:
        """As `current`, to look at. Raises NotFound for one who is not known (yet) too."""
        if await cls.find(session, patient_id) is None:
            raise NotFound
        return await cls.current(session, patient_id)


class EncounterReference(Replica[EncounterChanged], Base):
    """An encounter of clinical: what a note is about, and when a patient was here."""

    __tablename__ = "encounter_reference"

    patient_id: Mapped[UUID] = mapped_column(index=True)
    facility_id: Mapped[UUID]
    encounter_class: Mapped[EncounterClass]
    status: Mapped[EncounterStatus]
    started_at: Mapped[datetime | None]
    discharged_at: Mapped[datetime | None]


class UserReference(Replica[UserChanged], Base):
    """A user of auth: who may write and sign where."""

    __tablename__ = "user_reference"

    # A role may have been withdrawn meanwhile; but nobody is kept from signing because auth is down: the answer says so.
    fresh = Fresh(at_most=timedelta(hours=1), otherwise="serve")

    status: Mapped[UserStatus]
    grants: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, comment="roles, each at a facility or (null) at every one")

    @classmethod
    def kept(cls, event: UserChanged) -> dict[str, Any]:
        return {"status": event.status, "grants": [grant.model_dump(mode="json") for grant in event.grants]}

    @classmethod
    async def writer(cls, session: AsyncSession, user_id: UUID, facility_id: UUID) -> Writer:
        """Who they are at a facility, until the transaction ends. Raises NotYet, NotFound."""
        await cls.require(session, user_id)
        user = await cls.held(session, user_id)
        here = {grant["role"] for grant in user.grants if grant["facility_id"] in (None, str(facility_id))}
        return Writer(user_id=user_id, active=user.status == "active", roles=frozenset(here))
