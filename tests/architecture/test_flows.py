"""Tests of flows read like a specification: they say what follows, and neither wait for a time nor look again and again."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

FLOWS = Path(__file__).parents[1] / "flows"
FILES = sorted(FLOWS.glob("*.py"))

ENDS = ("closing.py", "running.py")
"""What is true at the end, and what the tables of a service hold, is read there."""

WAITS = frozenset({"sleep", "until"})
"""Names of what waits for a while, or looks again and again."""

BACKBONE = re.compile(r"\b(from|into|join|update)\s+backbone\.", re.IGNORECASE)

WRONG = {
    "import asyncio\nawait asyncio.sleep(1)": "sleep in line 2",
    "from tests.waiting import until": "until in line 1",
    "while not await is_there():\n    pass": "a loop that looks again in line 1",
    "while True:\n    if await is_there():\n        break": "a loop that looks again in line 1",
    "for _ in range(10):\n    if await is_there():\n        break": "a loop that looks again in line 1",
    "async for each in looks():\n    if each:\n        break": "a loop that looks again in line 1",
    'rows("SELECT 1 FROM backbone.outbox")': "a look into the backbone in line 1",
    'rows(f"SELECT {what} from backbone.inbox")': "a look into the backbone in line 1",
}


def wrong_in(source: str, *, may_look: bool = False) -> Iterator[str]:
    """What a test of flows must not do, and does. may_look: into tables of the backbone."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.alias(name=name) if name.rpartition(".")[2] in WAITS:
                yield f"{name.rpartition('.')[2]} in line {node.lineno}"
            case ast.While() | ast.For() | ast.AsyncFor() if _looks_again(node):
                yield f"a loop that looks again in line {node.lineno}"
            case ast.Constant(value=str(text)) if BACKBONE.search(text) and not may_look:
                yield f"a look into the backbone in line {node.lineno}"


def _looks_again(loop: ast.While | ast.For | ast.AsyncFor) -> bool:
    """Whether a loop may end early, by what it awaited: one over what is to be done goes on to the end."""
    inside = {type(node) for node in ast.walk(loop)}
    awaits = ast.Await in inside or isinstance(loop, ast.AsyncFor)
    return awaits and (isinstance(loop, ast.While) or bool(inside & {ast.Break, ast.Return}))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_nothing_is_waited_for_and_nothing_looked_for_again(file: Path) -> None:
    """No sleep, no loop that polls, no query of the backbone's tables: the kit knows when a flow is over."""
    assert list(wrong_in(file.read_text(), may_look=file.name in ENDS)) == []


@pytest.mark.parametrize("source", WRONG)
def test_what_waits_or_polls_is_found(source: str) -> None:
    """Each way to wait, or to look again."""
    assert WRONG[source] in list(wrong_in(source))


@pytest.mark.parametrize("file", sorted(FLOWS.glob("test_[0-9][0-9]_*.py")), ids=lambda file: file.name)
def test_a_file_of_a_flow_says_which(file: Path) -> None:
    """Its first sentence names the flow by the number that its name begins with."""
    docstring = ast.get_docstring(ast.parse(file.read_text())) or ""
    assert re.search(rf"\(flow {int(file.name[5:7])}\b", docstring.splitlines()[0])


def test_what_is_done_to_several_is_no_poll() -> None:
    """A loop that goes on to its end, whatever was awaited in it."""
    assert list(wrong_in("for each in patients:\n    await registers(each)")) == []
