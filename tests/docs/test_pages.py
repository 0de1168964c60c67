"""What the pages name is there: files, links, commands."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from fastapi.routing import APIRoute

from nilecare import declared
from nilecare.cli import COMMANDS, group
from nilecare.platform import services
from tests.docs.pages import ROOT, blocks

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
DECISIONS = ROOT / "docs/decisions"

LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")
CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
NAMED = re.compile(r"`((?:contracts|broker|services|nilecare|tests|benchmarks|docs)/[^\s`<]*)`")
TARGET = re.compile(r"^([a-z]+):", re.MULTILINE)
REQUEST = re.compile(r"\b(GET|POST|PUT|DELETE) (/[^\s`?]*)(?:\?(\w+)=)?")
MAKE, NILECARE = re.compile(r"\bmake ([a-z]+)"), re.compile(r"\bnilecare ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?")

ROUTES = [asked for service in services() for asked in declared.asked(service)]

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def said(page: Path, asked: re.Pattern[str]) -> Iterator[Any]:
    """What `asked` finds in the page's code, inline or in blocks."""
    for code in CODE.findall(page.read_text()):
        yield from asked.findall(code)


@every_page
def test_every_link_leads_somewhere(page: Path) -> None:
    """A link to a file of the project is one to a file that is there."""
    assert [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()] == []


@every_page
def test_every_file_that_is_named_is_there(page: Path) -> None:
    """Paths in the text exist, but for those that the page itself tells the reader to make."""
    made = {block.file for block in blocks(str(page.relative_to(ROOT)))}
    assert [name for name in NAMED.findall(page.read_text()) if name not in made and not (ROOT / name).exists()] == []


@every_page
def test_every_command_that_is_named_is_there(page: Path) -> None:
    """`make` has the targets, and `nilecare` the commands, that the page names."""
    targets = TARGET.findall((ROOT / "Makefile").read_text())
    assert [target for target in said(page, MAKE) if target not in targets] == []
    assert [words for words in said(page, NILECARE) if not _is_command(*words)] == []


@every_page
def test_every_request_that_is_named_is_answered(page: Path) -> None:
    """Some service has the operation that the page names, with the parameter."""
    assert [asked for asked in said(page, REQUEST) if not any(_takes(method, route, *asked) for method, route in ROUTES)] == []


def test_every_decision_is_listed() -> None:
    """The index of decisions leads to each page."""
    listed = set(LINK.findall((DECISIONS / "README.md").read_text()))
    assert listed == {page.name for page in DECISIONS.glob("*.md")} - {"README.md"}


def _takes(method: str, route: APIRoute, asked: str, path: str, parameter: str) -> bool:
    parameters = inspect.signature(route.endpoint).parameters
    return (asked, path) == (method, route.path) and (not parameter or parameter in parameters)


def _is_command(name: str, following: str) -> bool:
    if name not in COMMANDS:
        return False
    command = group.get_command(click.Context(group), name)
    return not (following and isinstance(command, click.Group)) or following in command.commands
