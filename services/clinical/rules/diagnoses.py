"""What is decided of diagnoses: their states, and which codes one is made with."""

from __future__ import annotations

import re
from typing import Literal, Protocol

from broker import LifeCycle
from services.clinical.errors import (
    DiagnosisCannotBecome,
    DiagnosisCodeIsMalformed,
    DiagnosisCodeIsNotBillable,
    DiagnosisCodeIsUnknown,
)

DiagnosisStatus = Literal["provisional", "confirmed", "resolved", "refuted"]
"""After FHIR R4 condition-ver-status and condition-clinical."""

DIAGNOSIS = LifeCycle[DiagnosisStatus](
    {"provisional": {"confirmed", "refuted"}, "confirmed": {"resolved", "refuted"}, "resolved": set(), "refuted": set()},
    refused=DiagnosisCannotBecome,
)

ICD10_CM = re.compile(r"[A-Z][0-9][0-9A-Z](\.[0-9A-Z]{1,4})?")
"""Three to seven characters, a letter first, a digit second, a point after the third (ICD-10-CM Official Guidelines, I.A.2)."""


class CodeOfTheSet(Protocol):
    """What the loaded code set says of a code."""

    @property
    def billable(self) -> bool: ...


def check_code_format(code: str) -> str:
    """Gives `code` back. Raises DiagnosisCodeIsMalformed."""
    if ICD10_CM.fullmatch(code) is None:
        raise DiagnosisCodeIsMalformed
    return code


def check_billable(entry: CodeOfTheSet | None) -> None:
    """Whether a diagnosis may be made with this code (the guidelines' I.B.2: to the highest number of characters available).

    Raises DiagnosisCodeIsUnknown or DiagnosisCodeIsNotBillable.
    """
    if entry is None:
        raise DiagnosisCodeIsUnknown
    if not entry.billable:
        raise DiagnosisCodeIsNotBillable
