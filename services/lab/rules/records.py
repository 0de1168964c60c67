"""What is written down: labels, values, corrections, times."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from services.lab.errors import (
    CorrectionChangesNothing,
    ResultHasOneValue,
    SampleLabelDoesNotMatchThePatient,
    SampleNeedsTwoIdentifiers,
    TimeIsInTheFuture,
)

IDENTIFIERS = frozenset({"medical_record_number", "full_name", "birth_date"})
"""What a label can show of a patient."""


def check_one_value(value: Decimal | None, text: str | None, unit: str | None) -> None:
    """Raises ResultHasOneValue unless there is either a number with its unit, or a text."""
    if (value is None) == (text is None) or (value is None) != (unit is None):
        raise ResultHasOneValue


def check_correction(before: tuple[Decimal | None, str | None], after: tuple[Decimal | None, str | None]) -> None:
    """Raises CorrectionChangesNothing."""
    if before == after:
        raise CorrectionChangesNothing


def check_label(label: Mapping[str, str], patient: Mapping[str, str]) -> None:
    """Whether a sample is this patient's: its label shows two identifiers at least, and none is another's.

    Raises SampleNeedsTwoIdentifiers, SampleLabelDoesNotMatchThePatient. Source: CLSI AUTO12.
    """
    shown = IDENTIFIERS & label.keys()
    if len(shown) < 2:
        raise SampleNeedsTwoIdentifiers
    if any(label[identifier].casefold() != patient[identifier].casefold() for identifier in shown):
        raise SampleLabelDoesNotMatchThePatient


def check_happened(when: datetime, now: datetime) -> datetime:
    """Gives `when` back. Raises TimeIsInTheFuture."""
    if when > now:
        raise TimeIsInTheFuture
    return when
