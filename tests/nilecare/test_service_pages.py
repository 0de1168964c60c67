"""The pages of the services say what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest

from broker import Service
from nilecare.declared import asked, broken_rules, life_cycles, tables
from nilecare.platform import services
from nilecare.service_pages import page, pages, stale, write_pages

every_service = pytest.mark.parametrize("service", services(), ids=lambda service: service.name)


def test_the_committed_pages_are_fresh() -> None:
    """What stands in docs/services is what would be written."""
    assert stale(services()) == []


@every_service
def test_a_page_names_everything(service: Service) -> None:
    """Each table, event, subscription, copy, route, call, rule and life cycle; and what each of them is."""
    text = page(service)
    named = [table.name for table, _ in tables(service)] + [event.contract.name for event in service.events]
    named += [replica.__tablename__ for replica in service.replicated] + [call.name for call in service.calls]
    named += [rule.__name__ for rule in broken_rules(service)] + list(life_cycles(service))
    named += [route.path for _, route in asked(service)]
    assert [name for name in named if f"`{name}`" not in text] == []
    assert [subscription.name for subscription in service.subscriptions if f"{subscription.name}`" not in text] == []
    assert "|  |" not in text


@every_service
def test_its_life_cycles_are_drawn(service: Service) -> None:
    """Each from its first state, through its moves, to the states that nothing follows."""
    text = page(service)
    for cycle in life_cycles(service).values():
        assert f"    [*] --> {next(iter(cycle.moves))}\n" in text
        for state, targets in cycle.moves.items():
            assert all(f"    {state} --> {target}\n" in text for target in targets)
            assert (f"    {state} --> [*]\n" in text) or not cycle.is_last(state)


def test_stale_pages_are_named(tmp_path: Path) -> None:
    """One that is missing, one that was edited, and one of a service that is gone; writing sets all of them right."""
    platform = services()
    first = f"{platform[0].name}.md"
    write_pages(platform, tmp_path)
    assert stale(platform, tmp_path) == []
    (tmp_path / first).unlink()
    (tmp_path / "README.md").write_text("mine")
    (tmp_path / "gone.md").write_text("of a service that is gone")
    assert stale(platform, tmp_path) == sorted(["README.md", first, "gone.md"])
    write_pages(platform, tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(pages(platform))
    assert stale(platform, tmp_path) == []
