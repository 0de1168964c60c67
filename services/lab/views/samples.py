"""Samples, as they are asked for and shown."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, Field

from broker import Asked, Shown
from contracts.lab import RejectionReason
from services.lab.rules import SampleStatus
from services.lab.views.common import Code, Text


class Label(Asked):
    """The patient's identifiers that a sample shows; at least two."""

    medical_record_number: Text | None = None
    full_name: Text | None = None
    birth_date: date | None = None

    def shown(self) -> dict[str, str]:
        """Those that it shows, by name."""
        return {name: str(value) for name, value in self if value is not None}


class AskedSample(Asked):
    """A sample that was taken: for these tests, or for all that have none yet; now, when no time is given."""

    label: Label
    test_codes: Annotated[list[Code], Field(min_length=1, max_length=100)] | None = None
    at: AwareDatetime | None = None


class Rejection(Asked):
    """Why a sample cannot be used."""

    reason: RejectionReason


class SampleView(Shown):
    """A sample; `identifiers` says which ones its label shows, not what they are."""

    sample_id: UUID
    order_id: UUID
    status: SampleStatus
    identifiers: list[str]
    rejection_reason: RejectionReason | None
    collected_at: datetime
    received_at: datetime | None
    accepted_at: datetime | None
    rejected_at: datetime | None
