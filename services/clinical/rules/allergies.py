"""What is decided of allergies."""

from __future__ import annotations

from typing import Literal

from broker import LifeCycle
from services.clinical.errors import AllergyCannotBecome, AllergyIsAlreadyRecorded

AllergyStatus = Literal["active", "removed"]

ALLERGY = LifeCycle[AllergyStatus]({"active": {"removed"}, "removed": set()}, refused=AllergyCannotBecome)


def check_not_recorded(same_substance: int) -> None:
    """Raises AllergyIsAlreadyRecorded where the patient has active allergies to the same substance."""
    if same_substance:
        raise AllergyIsAlreadyRecorded
