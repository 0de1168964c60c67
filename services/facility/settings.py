"""The settings of a facility: each declared with its type and with what holds where a facility says nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from services.facility.errors import SettingHasAnotherType, SettingIsUnknown

T = TypeVar("T")

Minutes = Annotated[int, Field(ge=1, le=7 * 24 * 60)]


def _without_zone(given: time) -> time:
    if given.tzinfo is not None:
        raise ValueError
    return given


TimeOfDay = Annotated[time, AfterValidator(_without_zone)]
"""In the facility's own time zone, so without one."""


@dataclass(frozen=True, slots=True)
class Setting(Generic[T]):
    """One setting. What it takes is judged strictly: `"5"` is no number, and `1` is not true."""

    name: str
    type: TypeAdapter[T]
    default: T
    meaning: str

    def read(self, given: Any) -> T:
        """The value that JSON data means. Raises SettingHasAnotherType."""
        try:
            return self.type.validate_json(json.dumps(given), strict=True)
        except ValidationError as wrong:
            raise SettingHasAnotherType(setting=self.name, wrong=wrong.errors(include_input=False)[0]["type"]) from None

    def shown(self, value: T) -> Any:
        """The value as JSON data."""
        return self.type.dump_python(value, mode="json")


BED_RESERVATION_MINUTES = Setting(
    "bed_reservation_minutes", TypeAdapter(Minutes), 120, "How long a reserved bed is kept for somebody who does not come."
)
ISOLATION_GOES_FIRST = Setting(
    "isolation_goes_first", TypeAdapter(bool), True, "Whether who needs isolation gets a bed before who has waited longer."
)
VISITING_FROM = Setting(
    "visiting_from", TypeAdapter(TimeOfDay), time(14), "When visiting hours begin, in the facility's time zone."
)
VISITING_TO = Setting("visiting_to", TypeAdapter(TimeOfDay), time(19), "When visiting hours end, in the facility's time zone.")

SETTINGS: Mapping[str, Setting[Any]] = {
    setting.name: setting for setting in (BED_RESERVATION_MINUTES, ISOLATION_GOES_FIRST, VISITING_FROM, VISITING_TO)
}


def named(name: str) -> Setting[Any]:
    """The setting of this name. Raises SettingIsUnknown."""
    if name not in SETTINGS:
        raise SettingIsUnknown
    return SETTINGS[name]
