"""The earliest that a dose of a vaccine counts.

Source: CDC, General Best Practice Guidelines for Immunization (ACIP), "Recommended and minimum ages and intervals between
doses of routinely recommended vaccines". Given up to four days early a dose still counts (the same guidelines' grace period);
except between two different live vaccines, which this does not look at. Vaccines and doses that the table here does not have
are recorded as they are told.
"""

from __future__ import annotations

import calendar
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from services.clinical.errors import (
    DoseIsTooSoonAfterTheFirst,
    DoseIsTooSoonAfterThePrevious,
    DoseWasAlreadyGiven,
    PatientIsTooYoungForThisDose,
    PreviousDoseIsNotRecorded,
)

GRACE = timedelta(days=4)


@dataclass(frozen=True, slots=True)
class Span:
    """A time as the schedule gives it: in calendar months, weeks, or both."""

    months: int = 0
    weeks: int = 0

    def after(self, day: date) -> date:
        """The day when this time has passed since `day`; a day that a month does not have is its last."""
        month = day.month - 1 + self.months
        year, month = day.year + month // 12, month % 12 + 1
        return day.replace(year=year, month=month, day=min(day.day, calendar.monthrange(year, month)[1])) + timedelta(
            weeks=self.weeks
        )


@dataclass(frozen=True, slots=True)
class Grown:
    """From which age on another time has to pass since the dose before."""

    age: Span
    interval: Span


@dataclass(frozen=True, slots=True)
class Minimum:
    """How old for a dose, and how long after the dose before and after the first of the series."""

    age: Span
    interval: Span = Span()
    since_first: Span = Span()
    grown: Grown | None = None

    def interval_on(self, given_on: date, birth_date: date) -> Span:
        """What has to pass since the dose before, for who is as old as on this day."""
        if self.grown is not None and given_on >= self.grown.age.after(birth_date):
            return self.grown.interval
        return self.interval


def _weeks(age: int, interval: int = 0, *, since_first: int = 0) -> Minimum:
    return Minimum(Span(weeks=age), Span(weeks=interval), Span(weeks=since_first))


def _months(age: int, *, months: int = 0, weeks: int = 0, since_first: int = 0, grown: Grown | None = None) -> Minimum:
    return Minimum(Span(months=age), Span(months=months, weeks=weeks), Span(months=since_first), grown)


MINIMUMS: Mapping[str, Sequence[Minimum]] = {
    "HepB": (_weeks(0), _weeks(4, 4), _weeks(24, 8, since_first=16)),
    "RV": (_weeks(6), _weeks(10, 4), _weeks(14, 4)),
    "DTaP": (_weeks(6), _weeks(10, 4), _weeks(14, 4), _months(15, months=6), _months(48, months=6)),
    "Hib": (_weeks(6), _weeks(10, 4), _weeks(14, 4), _months(12, weeks=8)),
    "PCV": (_weeks(6), _weeks(10, 4), _weeks(14, 4), _months(12, weeks=8)),
    "IPV": (_weeks(6), _weeks(10, 4), _weeks(14, 4), _months(48, months=6)),
    "IIV": (_months(6), _months(6, weeks=4)),
    "MMR": (_months(12), _months(13, weeks=4)),
    "VAR": (_months(12), _months(15, weeks=12, grown=Grown(Span(months=13 * 12), Span(weeks=4)))),
    "HepA": (_months(12), _months(18, months=6)),
    "HPV": (_months(9 * 12), _months(9 * 12, weeks=4), _months(9 * 12 + 5, weeks=12, since_first=5)),
}
"""By vaccine, dose by dose. What is asked since the first dose is in the table's footnotes, for HepB-3 and HPV-3 alone.

That the second dose against varicella follows sooner from an age of 13 years on is in the CDC's catch-up schedule.
"""

VACCINES: Mapping[str, str] = {
    "08": "HepB", "116": "RV", "20": "DTaP", "106": "DTaP", "48": "Hib", "133": "PCV", "216": "PCV", "10": "IPV",
    "140": "IIV", "150": "IIV", "03": "MMR", "21": "VAR", "83": "HepA", "165": "HPV",
}  # fmt: skip
"""Which of them a CVX code is; several codes can be of one."""


def codes_like(vaccine_code: str) -> list[str]:
    """The CVX codes whose doses count together with those of this one."""
    vaccine = VACCINES.get(vaccine_code)
    return [code for code, of in VACCINES.items() if of == vaccine] if vaccine is not None else [vaccine_code]


def minimum_for(vaccine_code: str, dose: int) -> Minimum | None:
    """What the schedule says of a dose; None where it says nothing."""
    doses = MINIMUMS.get(VACCINES.get(vaccine_code, ""), ())
    return doses[dose - 1] if dose <= len(doses) else None


def check_dose(vaccine_code: str, dose: int, given_on: date, *, birth_date: date, earlier: Mapping[int, date]) -> None:
    """Whether a dose counts that is given on this day. `earlier` are the days of the doses that are recorded, by number.

    Raises DoseWasAlreadyGiven, PatientIsTooYoungForThisDose, PreviousDoseIsNotRecorded, DoseIsTooSoonAfterThePrevious,
    DoseIsTooSoonAfterTheFirst.
    """
    if dose in earlier:
        raise DoseWasAlreadyGiven
    minimum = minimum_for(vaccine_code, dose)
    if minimum is None:
        return
    if given_on + GRACE < minimum.age.after(birth_date):
        raise PatientIsTooYoungForThisDose
    if dose == 1:
        return
    if not earlier.keys() >= set(range(1, dose)):
        raise PreviousDoseIsNotRecorded
    if given_on + GRACE < minimum.interval_on(given_on, birth_date).after(earlier[dose - 1]):
        raise DoseIsTooSoonAfterThePrevious
    if given_on + GRACE < minimum.since_first.after(earlier[1]):
        raise DoseIsTooSoonAfterTheFirst
