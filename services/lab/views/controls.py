"""Controls, as they are asked for and shown."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, Field

from broker import Asked, Shown
from services.lab.rules import ControlOutcome
from services.lab.views.common import Code, Number


class AskedControl(Asked):
    """What a control of one level showed, in the unit of its test, with its target and standard deviation; by default now."""

    facility_id: UUID
    test_code: Code
    level: Annotated[int, Field(ge=1, le=9)]
    value: Number
    target: Number
    sd: Annotated[Number, Field(gt=0)]
    at: AwareDatetime | None = None


class ControlView(Shown):
    """What a control showed; 1-3s and 2-2s reject, 1-2s warns (Westgard)."""

    control_id: UUID
    facility_id: UUID
    test_code: str
    level: int
    value: Decimal
    target: Decimal
    sd: Decimal
    outcome: ControlOutcome
    measured_by: UUID | None
    measured_at: datetime
