"""The plugins that a private RabbitMQ looks at when it starts: reading all that are installed is a third of its start."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

MANAGEMENT = "rabbitmq_management"
_LIBRARY = re.compile(r"\{applications,\s*\[([^\]]*)\]")


def needed(program: Path) -> list[Path] | None:
    """What a node with management needs of the plugins that came with `rabbitmq-server`; None where they are packed otherwise.

    Only plugins of RabbitMQ's own that nothing else needs are left out; all libraries stay.
    """
    folder = program.resolve().parent.parent / "plugins"
    there = {path.name.partition("-")[0]: path for path in folder.glob("*-*/")}
    if not {"rabbit", MANAGEMENT} <= there.keys():
        return None
    kept = _with_all_they_need({"rabbit", MANAGEMENT}, there)
    return [path for name, path in there.items() if name in kept or not name.startswith("rabbitmq_")]


def _with_all_they_need(names: Iterable[str], there: Mapping[str, Path]) -> set[str]:
    known: set[str] = set()
    unread = set(names)
    while unread:
        known |= unread
        unread = {needs for name in unread for needs in _needs(there[name], name)} & there.keys() - known
    return known


def _needs(path: Path, name: str) -> list[str]:
    described = (path / "ebin" / f"{name}.app").read_text()
    return [each.strip() for listed in _LIBRARY.findall(described) for each in listed.split(",")]
