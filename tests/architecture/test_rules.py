"""Every rule has a name that a test of its service, or of a flow, speaks of."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from broker import Service
from nilecare.declared import broken_rules, life_cycles
from nilecare.platform import services

TESTS = Path(__file__).parents[1]

every_service = pytest.mark.parametrize("service", services(), ids=lambda service: service.name)


@cache
def words(folder: Path) -> frozenset[str]:
    """Every name that the tests in a folder mention."""
    return frozenset(word for file in folder.rglob("*.py") for word in re.findall(r"\w+", file.read_text()))


@every_service
def test_every_rule_is_tested_by_its_name(service: Service) -> None:
    """A rule that can be broken is one that a test has seen broken."""
    spoken_of = words(TESTS / "services" / service.name) | words(TESTS / "flows")
    assert [rule.__name__ for rule in broken_rules(service) if rule.__name__ not in spoken_of] == []


@every_service
def test_every_rule_says_what_it_is(service: Service) -> None:
    """The docstring of a rule is what the caller reads: one sentence."""
    assert [rule.__name__ for rule in broken_rules(service) if not (rule.__doc__ or "").strip().endswith(".")] == []


@every_service
def test_every_state_can_be_reached(service: Service) -> None:
    """In a life cycle, each state but the first is where some move leads."""
    for name, cycle in life_cycles(service).items():
        first, *others = cycle.moves
        reached = {first} | {target for targets in cycle.moves.values() for target in targets}
        assert (name, set(others) - reached) == (name, set())
