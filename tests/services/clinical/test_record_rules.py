"""What is decided of doses, vital signs and codes without asking anybody."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest

from services.clinical import errors, rules
from services.clinical.rules.immunizations import GRACE, MINIMUMS, VACCINES, Span

BORN = date(2024, 1, 31)


@pytest.mark.parametrize(
    ("span", "day"),
    [
        (Span(weeks=6), date(2024, 3, 13)),
        (Span(months=1), date(2024, 2, 29)),
        (Span(months=12), date(2025, 1, 31)),
        (Span(months=13, weeks=1), date(2025, 3, 7)),
        (Span(months=48), date(2028, 1, 31)),
    ],
)
def test_a_month_is_a_month_of_the_calendar(span: Span, day: date) -> None:
    """A day that a month does not have is its last."""
    assert span.after(BORN) == day


def test_a_dose_counts_from_its_minimum_age() -> None:
    """PatientIsTooYoungForThisDose until four days before it: the first MMR at twelve months."""
    earliest = date(2025, 1, 31) - GRACE
    rules.check_dose("03", 1, earliest, birth_date=BORN, earlier={})
    with pytest.raises(errors.PatientIsTooYoungForThisDose):
        rules.check_dose("03", 1, earliest - timedelta(days=1), birth_date=BORN, earlier={})


def test_the_first_day_of_the_calendar_is_a_day() -> None:
    """A birth date that nobody living has is no error of ours."""
    rules.check_dose("08", 1, date.min, birth_date=date.min, earlier={})


def test_a_dose_counts_from_its_minimum_interval() -> None:
    """DoseIsTooSoonAfterThePrevious until four days before it: the second MMR after four weeks."""
    first = date(2025, 6, 1)
    earliest = first + timedelta(weeks=4) - GRACE
    rules.check_dose("03", 2, earliest, birth_date=BORN, earlier={1: first})
    with pytest.raises(errors.DoseIsTooSoonAfterThePrevious):
        rules.check_dose("03", 2, earliest - timedelta(days=1), birth_date=BORN, earlier={1: first})


@pytest.mark.parametrize(
    ("first", "earliest"),
    [
        (date(2030, 1, 1), date(2030, 3, 26) - GRACE),
        (date(2036, 12, 20), date(2037, 1, 31)),
        (date(2037, 1, 31), date(2037, 2, 28) - GRACE),
    ],
    ids=["a child", "thirteen since the first", "thirteen at the first"],
)
def test_varicella_follows_sooner_from_thirteen_years_on(first: date, earliest: date) -> None:
    """DoseIsTooSoonAfterThePrevious before twelve weeks for a child, and before four for who is thirteen on that day."""
    rules.check_dose("21", 2, earliest, birth_date=BORN, earlier={1: first})
    with pytest.raises(errors.DoseIsTooSoonAfterThePrevious):
        rules.check_dose("21", 2, earliest - timedelta(days=1), birth_date=BORN, earlier={1: first})


@pytest.mark.parametrize(
    ("vaccine_code", "doses", "earliest"),
    [
        ("08", {1: date(2025, 3, 1), 2: date(2025, 4, 1)}, date(2025, 6, 21)),
        ("165", {1: date(2035, 3, 1), 2: date(2035, 4, 1)}, date(2035, 8, 1)),
    ],
)
def test_a_third_dose_keeps_its_distance_from_the_first(vaccine_code: str, doses: dict[int, date], earliest: date) -> None:
    """DoseIsTooSoonAfterTheFirst, although the second is long enough ago: HepB after 16 weeks, HPV after five months."""
    rules.check_dose(vaccine_code, 3, earliest - GRACE, birth_date=BORN, earlier=doses)
    with pytest.raises(errors.DoseIsTooSoonAfterTheFirst):
        rules.check_dose(vaccine_code, 3, earliest - GRACE - timedelta(days=1), birth_date=BORN, earlier=doses)


def test_a_series_has_no_holes_and_no_dose_twice() -> None:
    """PreviousDoseIsNotRecorded, also of one that is not the last before; DoseWasAlreadyGiven."""
    for recorded in (1, 2):
        with pytest.raises(errors.PreviousDoseIsNotRecorded):
            rules.check_dose("08", 3, date(2025, 1, 1), birth_date=BORN, earlier={recorded: BORN})
    with pytest.raises(errors.PreviousDoseIsNotRecorded):
        rules.check_dose("08", 3, date(2025, 1, 1), birth_date=BORN, earlier={1: BORN})
    with pytest.raises(errors.DoseWasAlreadyGiven):
        rules.check_dose("08", 1, date(2025, 1, 1), birth_date=BORN, earlier={1: BORN})


def test_what_the_schedule_does_not_have_is_recorded_as_it_is_told() -> None:
    """An unknown vaccine, and a dose beyond the last of the series."""
    rules.check_dose("999", 2, BORN, birth_date=BORN, earlier={})
    rules.check_dose("03", 3, BORN, birth_date=BORN, earlier={})
    assert rules.codes_like("999") == ["999"]


def test_the_schedule_hangs_together() -> None:
    """Every code is of a vaccine with doses; ages never fall, and the first dose waits for none before it."""
    assert set(VACCINES.values()) == set(MINIMUMS)
    for doses in MINIMUMS.values():
        ages = [dose.age.after(BORN) for dose in doses]
        assert ages == sorted(ages)
        assert [dose.interval == Span() for dose in doses] == [True] + [False] * (len(doses) - 1)


@pytest.mark.parametrize("sign", rules.PLAUSIBLE)
def test_vital_signs_are_those_of_the_living(sign: str) -> None:
    """VitalSignIsImplausible just outside the limits, never at them; it names the sign, not the value."""
    lowest, highest = rules.PLAUSIBLE[sign]
    for value in (lowest, highest, None):
        rules.check_vitals({sign: value})
    for value in (lowest - Decimal("0.1"), highest + Decimal("0.1")):
        with pytest.raises(errors.VitalSignIsImplausible) as refused:
            rules.check_vitals({sign: value})
        assert refused.value.facts == {"sign": sign, "lowest": str(lowest), "highest": str(highest)}


def test_diastolic_is_below_systolic() -> None:
    """DiastolicIsNotBelowSystolic."""
    rules.check_vitals({"systolic_mmhg": 120, "diastolic_mmhg": 80})
    with pytest.raises(errors.DiastolicIsNotBelowSystolic):
        rules.check_vitals({"systolic_mmhg": 80, "diastolic_mmhg": 120})


@pytest.mark.parametrize("code", ["I10", "C4A.0", "M1A.00X0", "E11.65", "U07.1", "S72.001A"])
def test_codes_are_written_like_this(code: str) -> None:
    """Three to seven characters, a point after the third."""
    assert rules.check_code_format(code) == code
