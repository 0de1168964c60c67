"""What became of every row."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from nilecare.synthea.read import Row


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a step of the loader is; `total` is known when the step begins."""

    step: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class NotTaken:
    """A row that was not taken, and why."""

    file: str
    line: int
    reason: str


@dataclass(slots=True)
class Report:
    """The outcome of a load. Every row is counted once: taken now, taken by an earlier run, or not taken."""

    taken: Counter[str] = field(default_factory=Counter)
    taken_before: Counter[str] = field(default_factory=Counter)
    not_taken: list[NotTaken] = field(default_factory=list)

    def take(self, row: Row, *, now: bool) -> None:
        """Counts a row as taken."""
        (self.taken if now else self.taken_before)[row.file] += 1

    def refuse(self, row: Row, reason: str) -> None:
        """Counts a row as not taken."""
        self.not_taken.append(NotTaken(row.file, row.line, reason))

    def reasons(self) -> list[tuple[str, str, int]]:
        """How many rows of which file were not taken for which reason, most first."""
        counted = Counter((one.file, one.reason) for one in self.not_taken)
        return [(file, reason, count) for (file, reason), count in counted.most_common()]

    def as_json(self) -> dict[str, Any]:
        """The report as JSON data."""
        return {
            "taken": dict(self.taken),
            "taken_before": dict(self.taken_before),
            "not_taken": [{"file": one.file, "line": one.line, "reason": one.reason} for one in self.not_taken],
        }
