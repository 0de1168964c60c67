"""What a failure becomes is told by its type, and what is shown of it holds no value."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from broker import Later, RuleBroken
from broker._evidence import reason_of
from broker._verdicts import FIRST_PAUSE, LONGEST_PAUSE, MAX_ATTEMPTS, classify, is_transient, pause_after


class Person(BaseModel):
    name: str
    age: int


class SampleIsLabelled(RuleBroken):
    """A sample carries a label before it leaves."""


class Driver(Exception):
    def __init__(self, sqlstate: str) -> None:
        super().__init__("Key (name)=(Amina) already exists")
        self.sqlstate = sqlstate


def raised_by_database(sqlstate: str, kind: type[DBAPIError] = OperationalError) -> DBAPIError:
    return kind("INSERT … 'Amina'", {"name": "Amina"}, Driver(sqlstate))


@given(st.integers(min_value=1, max_value=10_000))
def test_pauses_grow_to_a_limit(attempts: int) -> None:
    """Each pause lies within half of its doubling, up to the longest."""
    planned = min(FIRST_PAUSE * 2 ** min(attempts - 1, 20), LONGEST_PAUSE)
    assert planned * 0.5 <= pause_after(attempts) <= planned * 1.5


@pytest.mark.parametrize("sqlstate", ["40001", "40P01", "55P03", "57014", "57P01", "08006"])
def test_nobody_is_blamed_for_the_database(sqlstate: str) -> None:
    """Deadlocks, serialization failures, time-outs and lost connections are tried again without end."""
    assert is_transient(raised_by_database(sqlstate))
    assert classify(raised_by_database(sqlstate), MAX_ATTEMPTS * 10).state == "retrying"


def test_a_broken_constraint_is_not_transient() -> None:
    """A unique violation is tried a bounded number of times, then dead."""
    broken = raised_by_database("23505", IntegrityError)
    assert not is_transient(broken)
    assert classify(broken, MAX_ATTEMPTS - 1).state == "retrying"
    assert classify(broken, MAX_ATTEMPTS).state == "dead"


def test_a_broken_rule_is_dead_at_once_under_its_name() -> None:
    """A person reads the rule's name and sentence."""
    verdict = classify(SampleIsLabelled(sample=7))
    assert (verdict.state, verdict.error) == ("dead", "SampleIsLabelled")
    assert verdict.reason == "A sample carries a label before it leaves. (sample=7)"


def test_reasons_hold_no_values() -> None:
    """Whatever is raised, neither the value nor the text of a foreign exception is shown."""
    with pytest.raises(ValidationError) as invalid:
        Person.model_validate({"name": 5, "age": "Amina"})
    for exception in (invalid.value, KeyError("Amina"), ValueError("Amina"), raised_by_database("23505", IntegrityError)):
        assert "Amina" not in reason_of(exception)
    assert "name string_type, age int_parsing" in reason_of(invalid.value)


def test_the_place_in_the_code_is_shown() -> None:
    """An unexpected exception says where it came from, in code that is ours."""
    with pytest.raises(KeyError) as raised:
        dict[str, str]()["Amina"]
    assert "test_the_place_in_the_code_is_shown (" in reason_of(raised.value)


def test_later_has_no_end() -> None:
    """Later is never given up."""
    assert classify(Later("the provider is down"), 1_000).state == "retrying"
