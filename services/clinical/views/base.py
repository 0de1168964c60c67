"""What several requests have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, StringConstraints

from broker import Asked

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Code = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z][0-9A-Za-z.-]{0,19}$")]
"""A code of some code system."""


class Moment(Asked):
    """When it happened; now, when not given."""

    at: AwareDatetime | None = None


class Reason(Asked):
    """Why."""

    reason: Text
