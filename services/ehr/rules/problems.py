"""When something is a problem of a patient, and when it no longer is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from broker import LifeCycle
from services.ehr.errors import ProblemCannotBecome

ProblemStatus = Literal["active", "resolved"]
"""FHIR R4 condition-clinical, as far as it is used here."""

DiagnosisStatus = Literal["provisional", "confirmed", "resolved", "refuted"]

PROBLEM = LifeCycle[ProblemStatus]({"active": {"resolved"}, "resolved": set()}, refused=ProblemCannotBecome)


def puts_problem_on_list(status: DiagnosisStatus) -> bool:
    """Only a confirmed diagnosis is a problem."""
    return status == "confirmed"


def ends_problem(status: DiagnosisStatus, others: Iterable[DiagnosisStatus]) -> bool:
    """A diagnosis that is over takes its problem with it, unless another one still says the same."""
    return status in ("resolved", "refuted") and "confirmed" not in set(others)
