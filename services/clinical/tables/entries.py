"""What other services' events put into a patient's record."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Self
from uuid import UUID, uuid4

from sqlalchemy import Numeric
from sqlalchemy.orm import Mapped, mapped_column

from contracts.event import Event
from contracts.lab import Flag, ResultStatus
from services.clinical.tables.patients import OfPatient


class Entry(OfPatient):
    """What another service's event put into a patient's record.

    `source_event_id` is deliberately not unique: two entries of one event are what "duplicated" is computed from.
    """

    __abstract__ = True

    entry_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    source_event_id: Mapped[UUID] = mapped_column(index=True)
    entered_at: Mapped[datetime]

    @classmethod
    def of(cls, event: Event, **own: Any) -> Self:
        """The entry that shows `event`, whose fields give the columns of the same names; `own` win over them."""
        shared = {name: getattr(event, name) for name in type(event).model_fields if name in cls.__table__.columns}
        return cls(**shared | own)


class ResultEntry(Entry):
    """A lab result in the patient's record. A correction is an entry of its own: both stay to be seen."""

    __tablename__ = "result_entries"

    result_id: Mapped[UUID] = mapped_column(index=True)
    order_id: Mapped[UUID]
    encounter_id: Mapped[UUID | None]
    test_code: Mapped[str] = mapped_column(comment="LOINC")
    test_name: Mapped[str]
    value: Mapped[Decimal | None]
    text_value: Mapped[str | None]
    unit: Mapped[str] = mapped_column(comment="UCUM")
    reference_low: Mapped[Decimal | None]
    reference_high: Mapped[Decimal | None]
    flag: Mapped[Flag | None]
    is_abnormal: Mapped[bool]
    is_critical: Mapped[bool]
    status: Mapped[ResultStatus]
    reason: Mapped[str | None] = mapped_column(comment="why it was corrected")
    ordered_by: Mapped[UUID | None] = mapped_column(comment="the user who ordered the test")
    resulted_at: Mapped[datetime]


class PaidInvoiceEntry(Entry):
    """An invoice that was paid in full, as the patient's record shows it."""

    __tablename__ = "paid_invoice_entries"

    invoice_id: Mapped[UUID]
    encounter_id: Mapped[UUID | None]
    amount: Mapped[Decimal] = mapped_column(Numeric(14, 2))
    currency: Mapped[str]
    paid_at: Mapped[datetime]
