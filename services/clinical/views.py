"""What clinical's HTTP API takes and shows."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Self
from uuid import UUID

from pydantic import AwareDatetime, StringConstraints, model_validator

from broker import Asked, Shown
from contracts.clinical import EncounterClass, EncounterStatus, PatientStatus, Sex
from contracts.lab import Flag, ResultStatus

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class Contact(Asked):
    """How a patient is reached."""

    email: Annotated[str, StringConstraints(max_length=254, pattern=r"^[^@\s]+@[^@\s]+$")] | None = None
    phone: Annotated[str, StringConstraints(pattern=r"^\+[1-9][0-9]{1,14}$")] | None = None
    """E.164."""
    locale: Annotated[str, StringConstraints(max_length=35, pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")] | None = None
    """BCP 47."""
    street: Text | None = None
    city: Text | None = None
    postal_code: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20)] | None = None
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")] | None = None
    """ISO 3166-1 alpha-2."""


class Registration(Contact):
    """A new patient."""

    facility_id: UUID
    medical_record_number: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=50)]
    full_name: Text
    birth_date: date
    sex: Sex


class Demographics(Contact):
    """What to change of a patient; what is left out stays. A way to reach them that is given as null is forgotten."""

    full_name: Text | None = None
    birth_date: date | None = None
    sex: Sex | None = None

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        forgets = self.model_fields_set & Contact.model_fields.keys()
        if not forgets and not any(self.model_dump().values()):
            raise ValueError("nothing to change")
        return self


class PatientSearch(Asked):
    """Whom to look for. In a body, so that it stands in no address and no log."""

    facility_id: UUID
    medical_record_number: str


class Death(Asked):
    """When a patient died."""

    deceased_on: date


class Merge(Asked):
    """The record that lives on."""

    into_patient_id: UUID


class PlannedEncounter(Asked):
    """A patient who is going to be seen; now, when no time is given."""

    patient_id: UUID
    encounter_class: EncounterClass
    planned_at: AwareDatetime | None = None


class Moment(Asked):
    """When it happened; now, when not given."""

    at: AwareDatetime | None = None


class Reason(Asked):
    """Why."""

    reason: Text


class PatientView(Shown):
    """A patient. `merged_into` is where a merged record redirects to."""

    patient_id: UUID
    facility_id: UUID
    medical_record_number: str
    full_name: str
    birth_date: date
    sex: Sex
    status: PatientStatus
    merged_into: UUID | None
    deceased_on: date | None
    registered_at: datetime
    email: str | None
    phone: str | None
    locale: str | None
    street: str | None
    city: str | None
    postal_code: str | None
    country: str | None


class EncounterView(Shown):
    """An encounter."""

    encounter_id: UUID
    patient_id: UUID
    facility_id: UUID
    encounter_class: EncounterClass
    status: EncounterStatus
    planned_at: datetime
    arrived_at: datetime | None
    started_at: datetime | None
    discharged_at: datetime | None
    cancelled_at: datetime | None
    reason: str | None


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
