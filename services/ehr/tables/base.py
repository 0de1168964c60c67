"""The base of every table of the health record."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from broker import Tables


class Base(Tables, DeclarativeBase):
    """Every table of the health record. Nothing is ever deleted from them."""


class OfPatient:
    """What belongs to a patient of a facility, and moves with a merge.

    `recorded_for` is who it was recorded for, so that the merge can be taken back.
    """

    patient_id: Mapped[UUID]
    recorded_for: Mapped[UUID] = mapped_column(index=True)
    facility_id: Mapped[UUID]
