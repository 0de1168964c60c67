"""What failed for one reason has one fingerprint; what is kept of an exception shows the way it came, and no value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy.exc import IntegrityError

from broker import Permanent
from broker._evidence import Evidence, believed, evidence_of, fingerprint_of, package_of, stack_of


class LabelIsMissing(Permanent):
    """A sample has a label."""


def label(value: str) -> None:
    if value:
        raise LabelIsMissing(f"no label for {len(value)}")
    raise KeyError(value)


def shelve(value: str) -> None:
    label(value)


def caught(call: Callable[..., Any], *arguments: Any) -> BaseException:
    try:
        call(*arguments)
    except Exception as failure:
        return failure
    raise AssertionError("nothing was raised")


def test_one_reason_is_one_fingerprint() -> None:
    """Another message, and another way to the same place, change nothing; another class or place does."""
    first, second = caught(label, "Amina"), caught(shelve, "Amina Njeri")
    assert fingerprint_of(first, "tests") == fingerprint_of(second, "tests")
    assert fingerprint_of(first, "tests") == "LabelIsMissing in tests.broker.test_evidence.label"
    assert fingerprint_of(caught(label, ""), "tests") == "KeyError in tests.broker.test_evidence.label"


def test_the_first_frame_in_our_own_code_counts() -> None:
    """What a library raises is told by where our own code called it, and code of a service comes before the backbone's."""

    def read(number: str) -> int:
        return int(number)

    assert fingerprint_of(caught(read, "Amina"), "tests").endswith("test_the_first_frame_in_our_own_code_counts.<locals>.read")
    assert fingerprint_of(caught(read, "Amina"), "elsewhere") == "ValueError"


def test_a_broken_constraint_is_named_after_the_drivers_class() -> None:
    """Which of the database's refusals it was tells more than SQLAlchemy's name for many of them."""

    class UniqueViolationError(Exception):
        pass

    driver = Exception()
    driver.__cause__ = UniqueViolationError("Key (name)=(Amina)")
    assert fingerprint_of(IntegrityError("INSERT", {}, driver)) == "UniqueViolationError"


def test_the_package_of_a_handler() -> None:
    """Our own code is that of the outermost package which the handler was written in."""
    assert package_of(label) == "tests"
    assert package_of(None) == "broker"


def test_a_stack_shows_the_way_and_no_value() -> None:
    """Every frame and every cause by name; neither texts nor values of any of them."""

    def outer() -> None:
        try:
            shelve("")
        except KeyError as cause:
            raise LabelIsMissing("a sentence of our own") from cause

    stack = stack_of(caught(outer))
    assert "tests.broker.test_evidence.label, line" in stack
    assert stack.index("LabelIsMissing\ncaused by\n") < stack.index("KeyError")
    assert "sentence" not in stack
    endless = caught(outer)
    endless.__context__ = endless
    endless.__cause__ = endless
    assert stack_of(endless).count("LabelIsMissing") == 1


def test_deep_recursion_is_cut_short() -> None:
    """However deep it was, so many frames are kept, and the innermost is among them."""

    def dig(depth: int) -> None:
        if not depth:
            raise LabelIsMissing
        dig(depth - 1)

    evidence = evidence_of(caught(dig, 500), label)
    assert len(evidence.stack.splitlines()) <= 101
    assert evidence.stack.splitlines()[-1] == "LabelIsMissing"


@pytest.mark.parametrize(
    "exception", [ValueError("Amina"), KeyError("Amina"), IntegrityError("x 'Amina'", {"a": "Amina"}, Exception("Amina"))]
)
def test_nothing_kept_holds_a_value(exception: Exception) -> None:
    """Whatever is raised, no part of what is kept shows the text of a foreign exception."""

    def fail() -> None:
        raise exception

    evidence = evidence_of(caught(fail), label)
    assert "Amina" not in " ".join((evidence.error, evidence.reason, evidence.stack, evidence.fingerprint))


def test_what_an_exception_left_behind_is_believed() -> None:
    """Evidence that was written here comes back as it was, whatever was raised."""

    class Bed(BaseModel):
        number: int
        ward: str

    def refuse(value: str) -> None:
        raise IntegrityError("INSERT", None, KeyError(value)) from KeyError(value)

    for call, value in ((label, "Amina"), (label, ""), (refuse, "Amina"), (Bed.model_validate, {"number": "Amina"})):
        evidence = evidence_of(caught(call, value), label)
        assert believed(evidence) == evidence
    held = Evidence("Held", "lies behind an earlier failed message of its key", "", "Held")
    assert believed(held) == held


def test_no_sentence_is_believed_but_of_our_own_failures() -> None:
    """Any other text may hold a value: of an exception that nobody here declared, and where no class or place can stand."""
    said = Evidence("KeyError", "KeyError: 'Amina'", "  ward.beds, line 3\nfor Amina Njeri\nKeyError", "KeyError for Amina")
    assert believed(said) == Evidence(
        "KeyError", "KeyError: what was said of it elsewhere is not kept", "  ward.beds, line 3\n…\nKeyError", "KeyError"
    )
    said = Evidence("Amina Njeri", "is not here", "", "")
    assert "Amina" not in str(believed(said))
    assert believed(Evidence("LabelIsMissing", "x" * 9_999, "", "")).reason == "x" * 500
