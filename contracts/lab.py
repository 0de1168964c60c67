"""What the lab publishes: orders, samples and results."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from contracts.event import Event, Personal, StateEvent

Flag = Literal["L", "H", "LL", "HH", "A"]
"""HL7 table 0078: below or above the reference range, critically so, or abnormal where there is no range."""

ResultStatus = Literal["preliminary", "final", "corrected"]
Priority = Literal["routine", "urgent", "stat"]
RejectionReason = Literal["haemolysed", "clotted", "short", "mislabelled"]


class OrderedTest(BaseModel):
    """One test of an order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str = Field(examples=["2823-3"])
    """LOINC."""
    name: str = Field(examples=["Potassium"])


class LabTestChanged(StateEvent, name="lab.test.changed", version=1, key="code"):
    """A test of the lab's catalogue."""

    code: str = Field(examples=["2823-3"])
    """LOINC."""
    name: str = Field(examples=["Potassium"])
    unit: str = Field(examples=["mmol/L"])
    """UCUM."""
    active: bool


class LabOrderPlaced(Event, name="lab.order.placed", version=1, key="order_id"):
    """Tests were ordered for a patient."""

    order_id: UUID
    patient_id: UUID
    facility_id: UUID
    encounter_id: UUID | None
    tests: tuple[OrderedTest, ...]
    priority: Priority
    placed_at: datetime
    ordered_by: UUID | None = None
    """The user who did; null where nobody is known."""


class LabOrderCancelled(Event, name="lab.order.cancelled", version=1, key="order_id"):
    """The order will not be carried out."""

    order_id: UUID
    patient_id: UUID
    facility_id: UUID
    reason: Annotated[str, Personal(of="patient_id")]
    cancelled_at: datetime


class LabOrderCompleted(Event, name="lab.order.completed", version=1, key="order_id"):
    """Every test of the order has a final result: it can be charged."""

    order_id: UUID
    patient_id: UUID
    facility_id: UUID
    encounter_id: UUID | None
    tests: tuple[OrderedTest, ...]
    completed_at: datetime
    recorded_for: UUID | None = None
    """Whose it is again when a merge is taken back. Null where it was said by who did not tell yet."""


class LabSampleCollected(Event, name="lab.sample.collected", version=1, key="order_id"):
    """A sample was taken from the patient."""

    sample_id: UUID
    order_id: UUID
    patient_id: UUID
    facility_id: UUID
    collected_at: datetime


class LabSampleRejected(Event, name="lab.sample.rejected", version=1, key="order_id"):
    """A sample cannot be used and another is taken: `recollect_order_id` is the order for it."""

    sample_id: UUID
    order_id: UUID
    patient_id: UUID
    facility_id: UUID
    reason: RejectionReason
    recollect_order_id: UUID
    rejected_at: datetime


class _Result(Event):
    """What a result says, whenever it is said."""

    result_id: UUID
    order_id: UUID
    patient_id: UUID
    facility_id: UUID
    encounter_id: UUID | None
    test_code: str = Field(examples=["2823-3"])
    """LOINC."""
    test_name: str = Field(examples=["Potassium"])
    value: Annotated[Decimal | None, Personal(of="patient_id")]
    text_value: Annotated[str | None, Personal(of="patient_id")]
    unit: str = Field(examples=["mmol/L"])
    """UCUM."""
    reference_low: Decimal | None
    reference_high: Decimal | None
    flag: Annotated[Flag | None, Personal(of="patient_id")]
    is_abnormal: Annotated[bool, Personal(of="patient_id")]
    is_critical: Annotated[bool, Personal(of="patient_id")]
    status: ResultStatus
    resulted_at: datetime
    ordered_by: UUID | None = None
    """The user who ordered the test; null where nobody is known."""
    recorded_for: UUID | None = None
    """Whose it is again when a merge is taken back. Null where it was said by who did not tell yet."""


class LabResultAvailable(_Result, name="lab.result.available", version=1, key="result_id"):
    """A result can be read by those who treat the patient."""


class LabResultCorrected(_Result, name="lab.result.corrected", version=1, key="result_id"):
    """A result that was already available said something wrong; this is what it says now."""

    previous_value: Annotated[Decimal | None, Personal(of="patient_id")]
    previous_text_value: Annotated[str | None, Personal(of="patient_id")]
    reason: Annotated[str, Personal(of="patient_id")]


class LabResultCriticalCalled(Event, name="lab.result.critical_called", version=1, key="result_id"):
    """Somebody who treats the patient was told of a critical result, and read it back."""

    result_id: UUID
    order_id: UUID
    patient_id: UUID
    facility_id: UUID
    called_by: UUID | None
    """The user who called; null where nobody is known."""
    called_at: datetime


class LabResultCriticalDue(Event, name="lab.result.critical_due", version=1, key="result_id"):
    """The time to call a critical result passed; the lab tells itself, to look whether somebody did."""

    result_id: UUID


class LabResultCriticalOverdue(Event, name="lab.result.critical_overdue", version=1, key="result_id"):
    """Nobody has acknowledged a critical result in time: it goes to whoever stands above."""

    result_id: UUID
    order_id: UUID
    patient_id: UUID
    facility_id: UUID
    encounter_id: UUID | None
    ordered_by: UUID | None
    resulted_at: datetime
    due_at: datetime
