"""What the lab decides without asking anybody."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TypeVar, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker import RuleBroken
from contracts.clinical import Sex
from services.lab import errors, rules
from services.lab.rules import CallBackStatus, GivenRange, Limits, OrderStatus, ResultStatus, SampleStatus, TestStatus

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NUMBERS = st.decimals(min_value=-1000, max_value=1000, places=2)
PATIENT = {"medical_record_number": "M-1", "full_name": "Amal Haddad", "birth_date": "1980-02-29"}


@pytest.mark.parametrize(
    ("moves", "states"),
    [
        (rules.ORDER.moves, get_args(OrderStatus)),
        (rules.SAMPLE.moves, get_args(SampleStatus)),
        (rules.RESULT.moves, get_args(ResultStatus)),
        (rules.CALL_BACK.moves, get_args(CallBackStatus)),
    ],
)
def test_every_state_says_where_it_leads(moves: dict[str, frozenset[str]], states: tuple[str, ...]) -> None:
    """Each transition table has a row for each state, and leads only to states."""
    assert set(moves) == set(states)
    assert set().union(*moves.values()) <= set(states)


@given(st.lists(st.sampled_from(get_args(OrderStatus)), max_size=10))
def test_an_order_that_ended_stays_so(asked: list[OrderStatus]) -> None:
    """Whatever is asked in whatever order, nothing follows completed or cancelled, and nothing completes unprocessed."""
    status, seen = _walk(rules.ORDER.moved, "draft", asked, errors.OrderCannotBecome)
    assert not {"completed", "cancelled"} & set(seen[:-1])
    assert status != "completed" or "in_process" in seen


@given(st.lists(st.sampled_from(get_args(SampleStatus)), max_size=10))
def test_a_sample_is_accepted_or_rejected_but_never_both(asked: list[SampleStatus]) -> None:
    """A sample is judged once, only after it was received."""
    _, seen = _walk(rules.SAMPLE.moved, "collected", asked, errors.SampleCannotBecome)
    judged = {"accepted", "rejected"} & set(seen)
    assert len(judged) <= 1
    assert not judged or seen[:3] == ["collected", "in_transit", "received"]


@given(st.lists(st.sampled_from(get_args(ResultStatus)), max_size=10))
def test_a_result_that_was_released_is_only_ever_corrected(asked: list[ResultStatus]) -> None:
    """After final, a result is corrected or stays; it is neither cancelled nor preliminary again."""
    _, seen = _walk(rules.RESULT.moved, "preliminary", asked, errors.ResultCannotBecome)
    if "final" in seen:
        assert set(seen[seen.index("final") + 1 :]) <= {"corrected"}


State = TypeVar("State")


def _walk(
    moved: Callable[[State, State], State], start: State, asked: list[State], refusal: type[RuleBroken]
) -> tuple[State, list[State]]:
    """Where a machine ends when all this is asked of it, and every state that it was in."""
    status, seen = start, [start]
    for to in asked:
        with contextlib.suppress(refusal):
            status = moved(status, to)
            seen.append(status)
    return status, seen


@given(st.lists(st.sampled_from(get_args(TestStatus)), min_size=1, max_size=6))
def test_an_order_in_process_follows_its_tests(tests: list[TestStatus]) -> None:
    """It ends when no test is pending: completed if any has a result, so that it is charged once; else cancelled."""
    after = rules.order_by_tests("in_process", tests)
    assert (after in {"completed", "cancelled"}) == ("pending" not in tests)
    assert (after in {"completed", "partial"}) == ("resulted" in tests)


def test_a_further_sample_does_not_set_an_order_back() -> None:
    """Taking or accepting another sample leaves an order that is further on as it is."""
    assert rules.order_after_collection("ordered") == "collected"
    assert rules.order_after_collection("partial") == "partial"
    assert rules.order_after_acceptance("collected") == "in_process"
    assert rules.order_after_acceptance("partial") == "partial"


@pytest.mark.parametrize("status", ["draft", "on_hold", "completed", "cancelled"])
def test_no_sample_is_taken_for_an_order_that_is_not_open(status: OrderStatus) -> None:
    """OrderCannotBecome, which names the state."""
    with pytest.raises(errors.OrderCannotBecome) as refused:
        rules.order_after_collection(status)
    assert refused.value.facts["state"] == status


def test_an_order_on_hold_returns_to_where_it_was() -> None:
    """It resumes in the state in which it was put on hold; one that is not on hold cannot be resumed."""
    assert rules.order_resumed("on_hold", "partial") == "partial"
    with pytest.raises(errors.OrderCannotBecome):
        rules.order_resumed("ordered", None)


def test_only_an_open_order_is_recollected() -> None:
    """OrderCannotBecome for an order that ended."""
    rules.check_recollectable("collected")
    with pytest.raises(errors.OrderCannotBecome):
        rules.check_recollectable("cancelled")


def test_an_order_with_results_is_not_cancelled() -> None:
    """OrderHasResultsAlready."""
    rules.check_cancellable(["pending", "recollected"])
    with pytest.raises(errors.OrderHasResultsAlready):
        rules.check_cancellable(["pending", "resulted"])


LIMITS = Limits(low=Decimal("3.5"), high=Decimal(5), danger_low=Decimal("2.5"), danger_high=Decimal("6.5"))


@pytest.mark.parametrize(
    ("value", "flag"),
    [("2.4", "LL"), ("2.5", "L"), ("3.4", "L"), ("3.5", None), ("5.0", None), ("5.1", "H"), ("6.5", "H"), ("6.6", "HH")],
)
def test_a_value_on_a_limit_is_inside_it(value: str, flag: str | None) -> None:
    """Flags begin beyond the limits."""
    assert rules.flag_of(Decimal(value), LIMITS) == flag
    assert rules.is_critical(rules.flag_of(Decimal(value), LIMITS)) == (flag in ("LL", "HH"))


@given(NUMBERS, NUMBERS, st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS).map(sorted))
def test_flags_rise_with_the_value(one: Decimal, other: Decimal, limits: list[Decimal]) -> None:
    """Of two values the larger never has the lower flag."""
    order = ["LL", "L", None, "H", "HH"]
    within = Limits(danger_low=limits[0], low=limits[1], high=limits[2], danger_high=limits[3])
    small, large = sorted((one, other))
    assert order.index(rules.flag_of(small, within)) <= order.index(rules.flag_of(large, within))


@given(NUMBERS)
def test_without_limits_everything_is_normal(value: Decimal) -> None:
    """No range, no flag."""
    assert rules.flag_of(value, rules.NO_LIMITS) is None


@pytest.mark.parametrize(
    ("text", "normal", "flag"), [("positive", "negative", "A"), ("Negative", "negative", None), ("any", None, None)]
)
def test_a_text_is_abnormal_when_another_one_is_normal(text: str, normal: str | None, flag: str | None) -> None:
    """Flag A, HL7 table 0078."""
    assert rules.flag_of_text(text, normal) == flag


def _range(low: int, **of: object) -> GivenRange:
    return GivenRange(limits=Limits(low=Decimal(low)), **of)  # type: ignore[arg-type]  # sex and ages, as each test needs


RANGES = [_range(1), _range(2, sex="female", age_from=18), _range(3, sex="male", age_from=18, age_to=65)]


@pytest.mark.parametrize(
    ("sex", "age", "low"),
    [
        ("female", 17, 1),
        ("female", 18, 2),
        ("male", 64, 3),
        ("male", 65, 1),
        ("unknown", 40, 1),
        ("other", 40, 1),
    ],
)
def test_the_range_for_ones_sex_and_age_applies(sex: Sex, age: int, low: int) -> None:
    """The range for a sex goes before the one for any; `age_to` is excluded; without a known sex only that for any applies."""
    assert rules.limits_for(RANGES, sex=sex, age=age).low == low


def test_who_no_range_covers_has_no_limits() -> None:
    """A newborn has no limits where all ranges are for adults."""
    assert rules.limits_for([_range(2, age_from=18)], sex="female", age=0) == rules.NO_LIMITS


AGES = st.tuples(st.integers(0, 30), st.one_of(st.none(), st.integers(1, 30)))


@given(AGES, AGES)
def test_reference_ranges_do_not_overlap(one: tuple[int, int | None], other: tuple[int, int | None]) -> None:
    """ReferenceRangesOverlap exactly when some age is covered twice for one sex; RangeEndsBeforeItBegins for none at all."""
    ranges = [GivenRange(age_from=begin, age_to=end) for begin, end in (one, other)]
    covered = [{age for age in range(40) if begin <= age and (end is None or age < end)} for begin, end in (one, other)]
    if not all(covered):
        with pytest.raises(errors.RangeEndsBeforeItBegins):
            rules.check_ranges(ranges)
    elif covered[0] & covered[1]:
        with pytest.raises(errors.ReferenceRangesOverlap):
            rules.check_ranges(ranges)
    else:
        rules.check_ranges(ranges)


def test_ranges_for_different_sexes_may_cover_the_same_age() -> None:
    """One for any sex stands beside one for each."""
    rules.check_ranges(RANGES)


def test_limits_are_in_order() -> None:
    """RangeEndsBeforeItBegins for a low above its high."""
    with pytest.raises(errors.RangeEndsBeforeItBegins):
        rules.check_ranges([GivenRange(limits=Limits(low=Decimal(5), high=Decimal(4)))])


@given(st.dates(date(1900, 1, 1), date(2020, 1, 1)), st.integers(0, 110))
def test_age_grows_on_the_birthday(born: date, years: int) -> None:
    """On the day before a birthday a person is still a year younger."""
    birthday = born.replace(year=born.year + years) if (born.month, born.day) != (2, 29) else date(born.year + years, 3, 1)
    if (born.month, born.day) == (2, 29) and (born.year + years) % 4 == 0:
        return
    assert rules.age_in_years(born, birthday) == years
    assert rules.age_in_years(born, birthday - timedelta(days=1)) == years - 1


@pytest.mark.parametrize(
    ("value", "text", "unit"), [(None, None, None), ("1", "x", "g/L"), ("1", None, None), (None, "x", "g/L")]
)
def test_a_result_has_one_value(value: str | None, text: str | None, unit: str | None) -> None:
    """ResultHasOneValue."""
    with pytest.raises(errors.ResultHasOneValue):
        rules.check_one_value(Decimal(value) if value else None, text, unit)


def test_a_number_or_a_text_is_one_value() -> None:
    """A number with its unit, or a text without one."""
    rules.check_one_value(Decimal(1), None, "g/L")
    rules.check_one_value(None, "negative", None)


def test_a_correction_changes_something() -> None:
    """CorrectionChangesNothing."""
    rules.check_correction((Decimal(1), None), (Decimal(2), None))
    with pytest.raises(errors.CorrectionChangesNothing):
        rules.check_correction((Decimal("1.0"), None), (Decimal("1.00"), None))


@pytest.mark.parametrize("label", [{}, {"full_name": "Amal Haddad"}, {"full_name": "Amal Haddad", "colour": "red"}])
def test_a_sample_needs_two_identifiers(label: dict[str, str]) -> None:
    """SampleNeedsTwoIdentifiers."""
    with pytest.raises(errors.SampleNeedsTwoIdentifiers):
        rules.check_label(label, PATIENT)


def test_a_label_is_that_of_the_patient() -> None:
    """SampleLabelDoesNotMatchThePatient, even when two other identifiers do match; the refusal names nobody."""
    rules.check_label({"full_name": "AMAL HADDAD", "medical_record_number": "m-1"}, PATIENT)
    with pytest.raises(errors.SampleLabelDoesNotMatchThePatient) as refused:
        rules.check_label(PATIENT | {"full_name": "Someone Else"}, PATIENT)
    assert "Else" not in str(refused.value)


def test_nothing_has_happened_in_the_future() -> None:
    """TimeIsInTheFuture."""
    assert rules.check_happened(NOW, NOW) == NOW
    with pytest.raises(errors.TimeIsInTheFuture):
        rules.check_happened(NOW + timedelta(seconds=1), NOW)


def test_every_rule_says_itself_in_one_sentence() -> None:
    """The message of each broken rule is the first line of its docstring, ending in a full stop."""
    broken = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, RuleBroken)]
    assert all(str(kind()).endswith(".") for kind in broken if kind is not RuleBroken)
