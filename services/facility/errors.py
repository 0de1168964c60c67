"""The rules of facility that can be broken, each named as a sentence.

RuleBroken
├── FacilityCannotBecome
└── TimeZoneIsUnknown
"""

from __future__ import annotations

from broker import RuleBroken


class FacilityCannotBecome(RuleBroken):
    """A facility in this state cannot become what is asked."""


class TimeZoneIsUnknown(RuleBroken):
    """A facility's time zone is one of the IANA time zone database."""

    status = 422
