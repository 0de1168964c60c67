"""The bases of what an HTTP API takes and shows."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Annotated

import pytest
from pydantic import AwareDatetime, Field, ValidationError

from broker import Asked


class Appointment(Asked):
    """Something with every kind of moment in it."""

    on: date | None = None
    at: time | None = None
    made: AwareDatetime | None = None
    born: Annotated[date | None, Field(description="of the patient")] = None
    minutes: int | None = None


def test_a_moment_is_a_text() -> None:
    """As the OpenAPI document says: no number stands for a day or a time; elsewhere numbers are numbers."""
    told = Appointment.model_validate({"on": "2026-01-02", "at": "10:00", "made": "2026-01-01T10:00:00Z", "minutes": 0})
    assert (told.on, told.at, told.minutes) == (date(2026, 1, 2), time(10), 0)
    assert told.made == datetime.fromisoformat("2026-01-01T10:00:00Z")
    for name in ("on", "at", "made", "born"):
        for number in (0, 86400.0, True):
            with pytest.raises(ValidationError):
                Appointment.model_validate({name: number})


def test_what_is_not_known_is_an_error() -> None:
    """A field that no body has is not passed over."""
    with pytest.raises(ValidationError):
        Appointment.model_validate({"surprise": 1})


def test_a_refusal_names_the_field() -> None:
    """Who sent a number learns where."""
    with pytest.raises(ValidationError) as refused:
        Appointment.model_validate({"on": 0, "minutes": 0})
    assert [error["loc"] for error in refused.value.errors()] == [("on",)]
