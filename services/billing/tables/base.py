"""The base of every table of billing."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from sqlalchemy import Numeric
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from broker import Tables, same_as


class Base(Tables, DeclarativeBase):
    """Every table of billing."""

    type_annotation_map = {Decimal: Numeric(14, 2)}  # noqa: RUF012 (read by SQLAlchemy from the class)


class FollowsMerges:
    """A mixin for what a merge hands over to another patient: without being told otherwise, it was its patient's before.

    The database says the same to who inserts without it: code of a release that does not know the column.
    """

    recorded_for: Mapped[UUID] = mapped_column(
        default=same_as("patient_id"), index=True, comment="whose it is without any merge: theirs again when one is taken back"
    )
