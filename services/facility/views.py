"""What facility's API takes and gives."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import StringConstraints

from broker import Asked, Shown
from contracts.facility import FacilityKind, FacilityStatus

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
"""ISO 4217."""

TimeZone = Annotated[str, StringConstraints(min_length=1, max_length=64)]
"""IANA, as in Africa/Cairo."""


class AskedFacility(Asked):
    """All that is said of a facility."""

    name: Name
    kind: FacilityKind
    time_zone: TimeZone
    currency: Currency


class FacilityView(Shown):
    """A facility."""

    facility_id: UUID
    name: str
    kind: FacilityKind
    status: FacilityStatus
    time_zone: str
    currency: str
    opened_at: datetime
