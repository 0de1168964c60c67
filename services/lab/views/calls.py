"""Calls of critical results, as they are asked for and shown."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, StringConstraints

from broker import Asked, Shown
from services.lab.rules import CallBackStatus
from services.lab.views.common import Number

CalleeRole = Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,40}$")]
"""A role as tokens name it: no place for a person's name."""


class AskedCall(Asked):
    """A call to a user or to a role, in which the value was read back in the unit of the test; now, when no time is given."""

    read_back: Number
    callee_id: UUID | None = None
    callee_role: CalleeRole | None = None
    at: AwareDatetime | None = None


class CallView(Shown):
    """A call in which the result was read back as it is."""

    call_id: UUID
    result_id: UUID
    called_by: UUID | None
    callee_id: UUID | None
    callee_role: str | None
    called_at: datetime
    was_late: bool


class CallBackView(Shown):
    """That somebody has to be called for a critical result; `escalations` counts how often it was overdue."""

    result_id: UUID
    status: CallBackStatus
    due_at: datetime
    escalations: int
