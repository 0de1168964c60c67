"""What the lab decides about controls, deltas, reviews, reflex tests, calls and who may be ordered for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import get_args
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.clinical import EncounterStatus, PatientStatus
from contracts.lab import Flag
from services.lab import errors, rules
from services.lab.rules import Controlled, Delta, GivenReflex

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DEVIATIONS = st.decimals(min_value=-5, max_value=5, places=2)


@pytest.mark.parametrize(
    ("z", "before", "outcome"),
    [
        ("0", None, "in_control"),
        ("2", "2.5", "in_control"),
        ("2.1", None, "1_2s"),
        ("2.1", "1.9", "1_2s"),
        ("2.1", "-2.1", "1_2s"),
        ("2.1", "2.1", "2_2s"),
        ("-2.1", "-2.9", "2_2s"),
        ("3", "0", "1_2s"),
        ("3.1", "0", "1_3s"),
        ("-3.1", "-3.1", "1_3s"),
    ],
)
def test_westgard_rules(z: str, before: str | None, outcome: str) -> None:
    """1-3s beyond three deviations; 2-2s for two in a row beyond two on one side; one alone beyond two warns."""
    assert rules.westgard(Decimal(z), None if before is None else Decimal(before)) == outcome


@given(DEVIATIONS, DEVIATIONS)
def test_westgard_rules_are_the_same_on_both_sides(z: Decimal, before: Decimal) -> None:
    """A control that is too low is as bad as one that is too high; within two deviations none is bad."""
    assert rules.westgard(z, before) == rules.westgard(-z, -before)
    assert (rules.westgard(z, before) == "in_control") == (abs(z) <= 2)


def test_a_control_is_measured_in_its_own_spread() -> None:
    """Deviations are counted from the target; ControlNeedsASpread where there is none."""
    assert rules.deviation(Decimal("4.4"), Decimal("4.0"), Decimal("0.2")) == 2
    with pytest.raises(errors.ControlNeedsASpread):
        rules.check_spread(Decimal(0))


@pytest.mark.parametrize(
    ("latest", "good"),
    [
        ([], False),
        ([Controlled("in_control", NOW)], True),
        ([Controlled("1_2s", NOW)], True),
        ([Controlled("in_control", NOW - timedelta(hours=24))], True),
        ([Controlled("in_control", NOW - timedelta(hours=24, seconds=1))], False),
        ([Controlled("in_control", NOW), Controlled("2_2s", NOW)], False),
        ([Controlled("in_control", NOW), Controlled("1_3s", NOW - timedelta(days=9))], False),
    ],
)
def test_a_test_is_trusted_while_its_controls_are_good(latest: list[Controlled], good: bool) -> None:
    """One level was controlled recently, and none failed last: a failure does not grow old."""
    assert rules.is_in_control(latest, now=NOW, hours=24) is good


@pytest.mark.parametrize(
    ("value", "previous", "delta", "fails"),
    [
        ("5.0", "4.0", Delta(days=3, absolute=Decimal(1)), False),
        ("5.1", "4.0", Delta(days=3, absolute=Decimal(1)), True),
        ("2.9", "4.0", Delta(days=3, absolute=Decimal(1)), True),
        ("120", "100", Delta(days=3, percent=Decimal(20)), False),
        ("79", "100", Delta(days=3, percent=Decimal(20)), True),
        ("1", "0", Delta(days=3, percent=Decimal(20)), True),
        ("0", "0", Delta(days=3, percent=Decimal(20)), False),
        ("110", "100", Delta(days=3, absolute=Decimal(5), percent=Decimal(20)), True),
    ],
)
def test_a_delta_is_a_change_beyond_a_limit(value: str, previous: str, delta: Delta, fails: bool) -> None:
    """Up or down, absolute or in percent of the previous value; exactly the limit is within it."""
    assert rules.delta_fails(Decimal(value), Decimal(previous), delta) is fails


def test_a_delta_check_has_a_limit() -> None:
    """DeltaNeedsALimit."""
    rules.check_delta(None)
    rules.check_delta(Delta(days=3, absolute=Decimal(0)))
    with pytest.raises(errors.DeltaNeedsALimit):
        rules.check_delta(Delta(days=3))


@pytest.mark.parametrize("flag", [None, *get_args(Flag)])
def test_what_is_merely_abnormal_needs_no_review(flag: Flag | None) -> None:
    """Of the flags only LL and HH stop a result."""
    reasons = rules.review_reasons(flag=flag, delta_failed=False, in_control=True, order="in_process")
    assert list(reasons) == (["critical"] if flag in ("LL", "HH") else [])


def test_every_reason_to_review_is_named() -> None:
    """A failed delta, failed controls and an order on hold stop a result, together too."""
    reasons = rules.review_reasons(flag="HH", delta_failed=True, in_control=False, order="on_hold")
    assert list(reasons) == ["critical", "delta", "quality_control", "order_not_open"]


@pytest.mark.parametrize(
    ("reflex", "flag", "value", "asks"),
    [
        (GivenReflex(further_test="x", flag="H"), "H", "5", True),
        (GivenReflex(further_test="x", flag="H"), "HH", "9", True),
        (GivenReflex(further_test="x", flag="HH"), "H", "5", False),
        (GivenReflex(further_test="x", flag="H"), "LL", "0", False),
        (GivenReflex(further_test="x", flag="H"), None, "4", False),
        (GivenReflex(further_test="x", flag="A"), "A", None, True),
        (GivenReflex(further_test="x", above=Decimal(4)), None, "4", False),
        (GivenReflex(further_test="x", above=Decimal(4)), None, "4.1", True),
        (GivenReflex(further_test="x", below=Decimal(4)), None, "3.9", True),
        (GivenReflex(further_test="x", below=Decimal(4)), "A", None, False),
    ],
)
def test_a_result_asks_for_a_further_test(reflex: GivenReflex, flag: Flag | None, value: str | None, asks: bool) -> None:
    """By its flag or a worse one on the same side, or by a limit that it passes."""
    assert rules.asks_for_more(reflex, flag=flag, value=None if value is None else Decimal(value)) is asks


def test_a_reflex_test_has_a_condition_and_is_another_one() -> None:
    """ReflexNeedsACondition, ReflexNamesItsOwnTest."""
    with pytest.raises(errors.ReflexNeedsACondition):
        rules.check_reflexes("tsh", [GivenReflex(further_test="ft4")])
    with pytest.raises(errors.ReflexNamesItsOwnTest):
        rules.check_reflexes("tsh", [GivenReflex(further_test="tsh", flag="H")])


def test_a_critical_result_is_called_within_half_an_hour() -> None:
    """From its release, which may lie in the past; one that was released more than a day ago is history."""
    assert rules.call_due_at(NOW, NOW) == NOW + timedelta(minutes=30)
    assert rules.call_due_at(NOW - timedelta(hours=2), NOW) == NOW - timedelta(minutes=90)
    assert rules.call_due_at(NOW - timedelta(days=1, seconds=1), NOW) is None
    assert not rules.is_late(NOW + timedelta(minutes=30), NOW)
    assert rules.is_late(NOW + timedelta(minutes=30, seconds=1), NOW)


def test_escalation_ends() -> None:
    """With a call, with the end of what was critical, and after MOST_ESCALATIONS times."""
    assert rules.is_waited_for("due", 0)
    assert rules.is_waited_for("overdue", rules.MOST_ESCALATIONS - 1)
    assert not rules.is_waited_for("overdue", rules.MOST_ESCALATIONS)
    assert not rules.is_waited_for("called", 0)
    assert not rules.is_waited_for("ended", 0)


def test_what_is_read_back_is_what_the_result_says() -> None:
    """ReadBackDoesNotMatch, which tells neither value; 6.80 is 6.8."""
    rules.check_read_back(Decimal("6.80"), Decimal("6.8"))
    with pytest.raises(errors.ReadBackDoesNotMatch) as refused:
        rules.check_read_back(Decimal("8.6"), Decimal("6.8"))
    assert refused.value.facts == {}


def test_a_call_is_to_one_callee_after_the_result() -> None:
    """CallNamesOneCallee for none and for two; CallPrecedesTheResult."""
    rules.check_callee(uuid4(), None)
    rules.check_callee(None, "nurse")
    for callee_id, callee_role in ((None, None), (uuid4(), "nurse")):
        with pytest.raises(errors.CallNamesOneCallee):
            rules.check_callee(callee_id, callee_role)
    assert rules.check_called(NOW, NOW) == NOW
    with pytest.raises(errors.CallPrecedesTheResult):
        rules.check_called(NOW - timedelta(seconds=1), NOW)


@pytest.mark.parametrize("status", get_args(EncounterStatus))
def test_nothing_is_ordered_during_an_encounter_that_ended(status: EncounterStatus) -> None:
    """EncounterIsOver for finished, cancelled and entered in error; before and during an encounter orders are placed."""
    if status in {"planned", "arrived", "in_progress"}:
        rules.check_encounter(status)
    else:
        with pytest.raises(errors.EncounterIsOver) as refused:
            rules.check_encounter(status)
        assert refused.value.facts == {"state": status}


@pytest.mark.parametrize("status", get_args(PatientStatus))
def test_nothing_is_ordered_for_the_dead(status: PatientStatus) -> None:
    """PatientIsDeceased, for that status alone."""
    if status == "deceased":
        with pytest.raises(errors.PatientIsDeceased):
            rules.check_alive(status)
    else:
        rules.check_alive(status)


@pytest.mark.parametrize(
    ("patient", "encounter", "again"),
    [
        ("active", None, True),
        ("active", "in_progress", True),
        ("inactive", "finished", True),
        ("active", "cancelled", False),
        ("active", "entered_in_error", False),
        ("deceased", None, False),
        ("deceased", "finished", False),
    ],
)
def test_no_other_sample_is_taken_from_the_dead_or_for_nothing(
    patient: PatientStatus, encounter: EncounterStatus | None, again: bool
) -> None:
    """What was ordered during an encounter is still owed when it is finished."""
    assert rules.is_sampled_again(patient, encounter) is again
