"""What other services put into the record, as the API shows it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from broker import Shown
from contracts.lab import Flag, ResultStatus


class ResultView(Shown):
    """A lab result as the record shows it; corrections are entries of their own, with the same `result_id`."""

    entry_id: UUID
    result_id: UUID
    order_id: UUID
    patient_id: UUID
    encounter_id: UUID | None
    test_code: str
    test_name: str
    value: Decimal | None
    text_value: str | None
    unit: str
    reference_low: Decimal | None
    reference_high: Decimal | None
    flag: Flag | None
    is_abnormal: bool
    is_critical: bool
    status: ResultStatus
    reason: str | None
    ordered_by: UUID | None
    resulted_at: datetime
    entered_at: datetime


class PaidInvoiceView(Shown):
    """An invoice of the patient that is paid."""

    entry_id: UUID
    invoice_id: UUID
    patient_id: UUID
    encounter_id: UUID | None
    amount: Decimal
    currency: str
    paid_at: datetime
