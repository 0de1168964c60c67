"""Texts, numbers and reasons, as every part of the API takes them."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import AwareDatetime, Field, StringConstraints

from broker import Asked

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Code = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,20}$")]
"""LOINC, or a lab's own code where LOINC has none."""

Unit = Annotated[str, StringConstraints(min_length=1, max_length=40)]
"""UCUM; `1` where there is none."""

Number = Annotated[Decimal, Field(allow_inf_nan=False, max_digits=30, decimal_places=15)]


class Moment(Asked):
    """When it happened; now, when not given."""

    at: AwareDatetime | None = None


class Reason(Asked):
    """Why."""

    reason: Text
