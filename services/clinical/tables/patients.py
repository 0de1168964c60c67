"""Who the patients are, and what belongs to one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import Any, Self
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, Index, UniqueConstraint, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from broker import StateOwner, publishes_state
from contracts.clinical import PatientChanged, PatientStatus, Sex
from services.clinical import rules
from services.clinical.rules import ReviewStatus
from services.clinical.tables.base import Base

ONE_BY_ONE = text("SELECT pg_advisory_xact_lock(hashtextextended('clinical patients of ' || :facility_id, 0))")


@publishes_state(PatientChanged)
class Patient(StateOwner, Base):
    """A person as one facility knows them. A merged record stays and redirects to the one that lives on."""

    __tablename__ = "patients"
    __table_args__ = (
        UniqueConstraint("facility_id", "medical_record_number"),
        Index(None, "facility_id", "registered_at", "patient_id"),
        Index(None, "facility_id", "birth_date"),
        Index(None, "facility_id", "phone"),
        Index("patients_facility_id_full_name_idx", "facility_id", text("lower(full_name)")),
    )

    patient_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    facility_id: Mapped[UUID]
    medical_record_number: Mapped[str]
    full_name: Mapped[str]
    birth_date: Mapped[date]
    sex: Mapped[Sex]
    status: Mapped[PatientStatus]
    merged_into: Mapped[UUID | None] = mapped_column(ForeignKey("patients.patient_id"), index=True)
    status_before_merge: Mapped[PatientStatus | None] = mapped_column(comment="theirs again when the merge is taken back")
    deceased_on: Mapped[date | None]
    registered_at: Mapped[datetime]
    email: Mapped[str | None]
    phone: Mapped[str | None] = mapped_column(comment="E.164")
    locale: Mapped[str | None] = mapped_column(comment="BCP 47")
    street: Mapped[str | None]
    city: Mapped[str | None]
    postal_code: Mapped[str | None]
    country: Mapped[str | None] = mapped_column(comment="ISO 3166-1 alpha-2")

    def become(self, status: PatientStatus) -> None:
        """Moves to another state. Raises PatientCannotBecome."""
        self.status = rules.PATIENT.moved(self.status, status)

    @classmethod
    async def current(cls, session: AsyncSession, patient_id: UUID) -> Self:
        """The patient that `patient_id` stands for now: merges are followed. Raises NotFound."""
        patient = await cls.seen(session, patient_id)
        while patient.merged_into is not None:
            patient = await cls.seen(session, patient.merged_into)
        return patient

    @classmethod
    async def current_held(cls, session: AsyncSession, patient_id: UUID) -> Self:
        """As `current`, and no merge changes it until the transaction ends."""
        patient = await cls.held(session, patient_id)
        while patient.merged_into is not None:
            patient = await cls.held(session, patient.merged_into)
        return patient

    @classmethod
    async def current_locked(cls, session: AsyncSession, patient_id: UUID) -> Self:
        """As `current`, and nobody else records anything for them until the transaction ends."""
        patient = await cls.locked(session, patient_id)
        while patient.merged_into is not None:
            patient = await cls.locked(session, patient.merged_into)
        return patient

    @classmethod
    async def merged_through(cls, session: AsyncSession, patient_id: UUID) -> list[UUID]:
        """The records that redirect to `patient_id`, directly or through others, and itself."""
        found = select(cls.patient_id).where(cls.patient_id == patient_id).cte(recursive=True)
        found = found.union(select(cls.patient_id).join(found, cls.merged_into == found.c.patient_id))
        return list(await session.scalars(select(found.c.patient_id)))

    @classmethod
    async def alone_at(cls, session: AsyncSession, facility_id: UUID) -> None:
        """Nobody else registers, changes or merges a patient of the facility until the transaction ends.

        What a record is compared with is then all that there is. This is taken before the lock on any patient.
        """
        await session.execute(ONE_BY_ONE, {"facility_id": str(facility_id)})

    @classmethod
    async def like(cls, session: AsyncSession, one: Patient) -> Sequence[Self]:
        """The facility's other records that agree with this in one thing that tells people apart; merged ones are left out."""
        alike = [cls.birth_date == one.birth_date, func.lower(cls.full_name) == one.full_name.lower()]
        if one.phone is not None:
            alike.append(cls.phone == one.phone)
        others = [cls.patient_id != one.patient_id, cls.facility_id == one.facility_id, cls.merged_into.is_(None)]
        return (await session.scalars(select(cls).where(or_(*alike), *others).order_by(cls.registered_at))).all()


class OfPatient(Base):
    """What belongs to a patient and moves with a merge.

    `recorded_for` is who it was recorded for, so that the merge can be taken back.
    """

    __abstract__ = True

    patient_id: Mapped[UUID] = mapped_column(ForeignKey("patients.patient_id"), index=True)
    recorded_for: Mapped[UUID] = mapped_column(ForeignKey("patients.patient_id"), index=True)
    facility_id: Mapped[UUID]

    @classmethod
    def belonging_to(cls, patient: Patient, *, recorded_for: UUID, **columns: Any) -> Self:
        """A new row that was asked for under the id `recorded_for`, which stands for `patient` now."""
        return cls(patient_id=patient.patient_id, recorded_for=recorded_for, facility_id=patient.facility_id, **columns)


class DuplicateReview(Base):
    """Two records that may be of one person, for somebody to decide, once: open → confirmed (merged) or dismissed.

    It keeps naming the two that were found alike; while one of them is merged, the question is about the one it redirects to.
    """

    __tablename__ = "duplicate_reviews"
    __table_args__ = (UniqueConstraint("patient_id", "other_id"),)

    review_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    facility_id: Mapped[UUID]
    patient_id: Mapped[UUID] = mapped_column(ForeignKey("patients.patient_id"), comment="the newer record")
    other_id: Mapped[UUID] = mapped_column(ForeignKey("patients.patient_id"), index=True)
    score: Mapped[float]
    weights: Mapped[dict[str, float]] = mapped_column(comment="what each thing that both know adds to the score")
    status: Mapped[ReviewStatus]
    opened_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None]
    reason: Mapped[str | None] = mapped_column(comment="why these are two people")

    @property
    def pair(self) -> frozenset[UUID]:
        """The two records."""
        return frozenset({self.patient_id, self.other_id})

    @classmethod
    async def paired_with(cls, session: AsyncSession, patient_id: UUID) -> set[UUID]:
        """Those who stand or stood in the queue together with this record, whatever was decided; merges are followed."""
        mine = await Patient.merged_through(session, patient_id)
        pairs = (await session.scalars(select(cls).where(or_(cls.patient_id.in_(mine), cls.other_id.in_(mine))))).all()
        others = {key for review in pairs for key in review.pair - {*mine}}
        return {(await Patient.current(session, other)).patient_id for other in others}

    @classmethod
    async def open_among(cls, session: AsyncSession, patients: Collection[UUID]) -> Sequence[Self]:
        """What is open about two of these records, locked."""
        pair = [cls.patient_id.in_(patients), cls.other_id.in_(patients), cls.status == "open"]
        return (await session.scalars(select(cls).where(*pair).order_by(cls.review_id).with_for_update())).all()

    def decide(self, status: ReviewStatus, *, by: str, at: datetime, reason: str | None = None) -> None:
        """Closes it. Raises DuplicateReviewCannotBecome."""
        self.status = rules.DUPLICATE_REVIEW.moved(self.status, status)
        self.decided_at, self.decided_by, self.reason = at, by, reason
