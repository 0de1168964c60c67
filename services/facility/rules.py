"""What facility decides without asking anybody."""

from __future__ import annotations

from zoneinfo import available_timezones

from broker import LifeCycle
from contracts.facility import FacilityStatus
from services.facility.errors import FacilityCannotBecome, TimeZoneIsUnknown

FACILITY = LifeCycle[FacilityStatus]({"active": {"inactive"}, "inactive": {"active"}}, refused=FacilityCannotBecome)

TIME_ZONES = frozenset(available_timezones())
"""The names of the IANA time zone database (RFC 6557)."""


def check_time_zone(name: str) -> str:
    """The name of a time zone. Raises TimeZoneIsUnknown."""
    if name not in TIME_ZONES:
        raise TimeZoneIsUnknown
    return name
