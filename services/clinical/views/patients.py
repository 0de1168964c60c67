"""Patients, as the API takes and shows them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import StringConstraints, model_validator

from broker import Asked, Shown
from contracts.clinical import PatientStatus, Sex
from services.clinical.rules import ReviewStatus
from services.clinical.views.base import Text


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


class Confirmation(Asked):
    """Which of the two records lives on; the older one, when not given."""

    survivor_id: UUID | None = None


class DuplicateReviewView(Shown):
    """Two records that may be of one person. `weights` say what each thing that both know adds to the score."""

    review_id: UUID
    facility_id: UUID
    patient_id: UUID
    other_id: UUID
    score: float
    weights: dict[str, float]
    status: ReviewStatus
    opened_at: datetime
    decided_at: datetime | None
    decided_by: str | None
    reason: str | None
