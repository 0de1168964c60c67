"""Beds, and who lay in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Self
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column, relationship

from broker import NotFound, StateOwner, publishes_state
from contracts.facility import BedStatus, BedStatusChanged, ReleaseReason
from services.facility import rules
from services.facility.tables.base import Base
from services.facility.tables.houses import Facility, Ward


@publishes_state(BedStatusChanged)
class Bed(StateOwner, Base):
    """A bed, and who it is kept for or lies in it. Beds of one ward with the same `room` stand in one room."""

    __tablename__ = "beds"
    __table_args__ = (
        UniqueConstraint("ward_id", "label"),
        CheckConstraint("(status IN ('reserved', 'occupied')) = (encounter_id IS NOT NULL)", name="taken"),
        CheckConstraint("(encounter_id IS NULL) = (patient_id IS NULL)", name="patient"),
        Index("beds_one_per_encounter", "encounter_id", unique=True, postgresql_where=text("encounter_id IS NOT NULL")),
        Index("beds_one_per_patient", "patient_id", unique=True, postgresql_where=text("status = 'occupied'")),
    )

    bed_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    ward_id: Mapped[UUID] = mapped_column(ForeignKey("wards.ward_id"))
    facility_id: Mapped[UUID] = mapped_column(ForeignKey("facilities.facility_id"), index=True)
    room: Mapped[str]
    label: Mapped[str]
    status: Mapped[BedStatus]
    encounter_id: Mapped[UUID | None]
    patient_id: Mapped[UUID | None]
    isolation: Mapped[bool] = mapped_column(comment="whoever has it must lie alone in the room")
    reserved_until: Mapped[datetime | None]
    ward: Mapped[Ward] = relationship(lazy="joined", innerjoin=True)

    @property
    def ward_name(self) -> str:
        """What its ward is called."""
        return self.ward.name

    @classmethod
    async def in_hand(cls, session: AsyncSession, *bed_ids: UUID) -> Sequence[Self]:
        """The beds, in the order given, locked in that of their ids after their facilities. Raises NotFound."""
        of_beds = select(cls.facility_id).where(cls.bed_id.in_(bed_ids)).distinct()
        for facility_id in sorted(await session.scalars(of_beds)):
            await Facility.locked(session, facility_id)
        query = select(cls).where(cls.bed_id.in_(bed_ids)).order_by(cls.bed_id).with_for_update(of=cls)
        found = {bed.bed_id: bed for bed in await session.scalars(query.execution_options(populate_existing=True))}
        if not found.keys() >= set(bed_ids):
            raise NotFound
        return [found[bed_id] for bed_id in bed_ids]

    @classmethod
    async def all_of(cls, session: AsyncSession, *conditions: object) -> Sequence[Self]:
        """Those that meet the conditions, as they are now, in the order of ward, room and label."""
        query = select(cls).join(cls.ward).where(*conditions)  # type: ignore[arg-type]
        query = query.order_by(Ward.name, cls.room, cls.label, cls.bed_id)
        return (await session.scalars(query.execution_options(populate_existing=True))).all()

    def become(self, status: BedStatus) -> None:
        """Moves to another state. Raises BedCannotBecome."""
        self.status = rules.BED.moved(self.status, status)

    def keep_for(self, encounter_id: UUID, patient_id: UUID, *, isolation: bool, until: datetime | None = None) -> None:
        """Nobody else gets it. Raises BedCannotBecome."""
        self.become("reserved")
        self.encounter_id, self.patient_id = encounter_id, patient_id
        self.isolation, self.reserved_until = isolation, until

    def give_up(self, to: BedStatus) -> None:
        """Nobody has it any more. Raises BedCannotBecome."""
        self.become(to)
        self.encounter_id = self.patient_id = self.reserved_until = None
        self.isolation = False

    def place(self, floor: Iterable[Bed]) -> rules.Place:
        """What it offers, among the beds of its floor."""
        room = [bed for bed in floor if (bed.ward_id, bed.room) == (self.ward_id, self.room)]
        beside = [bed for bed in room if bed.bed_id != self.bed_id and bed.status in rules.TAKEN]
        return rules.Place(
            ward_sex=self.ward.sex,
            ward_isolation=self.ward.isolation,
            is_single=len(room) == 1,
            taken_beside=len(beside),
            isolated_beside=any(bed.isolation for bed in beside),
        )


class BedStay(Base):
    """That somebody lay in a bed, from when to when. Nobody lies in two beds, and no two in one."""

    __tablename__ = "bed_stays"
    __table_args__ = (
        Index("bed_stays_one_open_per_bed", "bed_id", unique=True, postgresql_where=text("ended_at IS NULL")),
        Index("bed_stays_one_open_per_patient", "patient_id", unique=True, postgresql_where=text("ended_at IS NULL")),
        Index(None, "bed_id", "began_at", "stay_id"),
    )

    stay_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    bed_id: Mapped[UUID] = mapped_column(ForeignKey("beds.bed_id"))
    facility_id: Mapped[UUID]
    encounter_id: Mapped[UUID] = mapped_column(index=True)
    patient_id: Mapped[UUID]
    began_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    reason: Mapped[ReleaseReason | None] = mapped_column(comment="why it ended")

    @classmethod
    async def open_in(cls, session: AsyncSession, bed_id: UUID) -> Self:
        """That of who lies in a bed."""
        return (await session.scalars(select(cls).where(cls.bed_id == bed_id, cls.ended_at.is_(None)))).one()
