"""What came of the demo, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nilecare.demo.agreement import Agreement
from nilecare.demo.latency import Latency
from nilecare.demo.money import Check
from nilecare.demo.people import People
from nilecare.synthea.report import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The facts, each read from the databases when everything was over."""

    events: Mapping[str, int]
    """By type."""
    flows: int
    effects: int
    """Of events on subscriptions."""
    lost: int
    out_of_order: int
    duplicated: int
    failed: Mapping[str, int]
    """Messages that are kept, by state."""
    replicas: Mapping[str, Agreement]
    money: list[Check]
    latency: Latency
    """Of every effect: what was down is in it."""
    latency_undisturbed: Latency
    """Of the effects that nothing was down for."""
    killed: list[str]
    troubles: Mapping[str, int]
    """What was put right on the way, by log event."""
    incidents: list[str]
    report: Report
    people: People
    dead_letter: str
    """What the message that was broken on purpose is called by."""
    key: Path
    """The `nilecare` command for this platform."""
    seconds: float

    @property
    def faults(self) -> list[str]:
        """What must not be, in words; empty when all is well."""
        found = {
            f"{self.lost} events had no effect where they should": self.lost,
            f"{self.duplicated} effects came twice": self.duplicated,
            f"{self.out_of_order} effects came out of order": self.out_of_order,
            f"{self.failed.get('dead', 0)} messages are dead, and one should be": self.failed.get("dead", 0) != 1,
            "messages still wait for something": any(count for state, count in self.failed.items() if state != "dead"),
        }
        found |= {f"replica {name} is out of step": not each.in_step for name, each in self.replicas.items()}
        found |= {f"the money does not add up: {check.what}": not check.holds for check in self.money}
        return [words for words, is_so in found.items() if is_so]

    def as_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "events": sum(self.events.values()),
            "events_by_type": dict(self.events),
            "effects": self.effects,
            "lost": self.lost,
            "duplicated": self.duplicated,
            "out_of_order": self.out_of_order,
            "dead_letters": self.failed.get("dead", 0),
            "failed_messages": dict(self.failed),
            "replicas": {name: {"rows": each.rows, "in_step": each.in_step} for name, each in self.replicas.items()},
            "money_balanced": all(check.holds for check in self.money),
            "money": [
                {"what": check.what, "looked_at": check.looked_at, "wrong": check.wrong, "amount": str(check.amount)}
                for check in self.money
            ],
            "latency_ms": self.latency.as_json(),
            "latency_undisturbed_ms": self.latency_undisturbed.as_json(),
            "flows": self.flows,
            "killed": self.killed,
            "troubles": dict(self.troubles),
            "incidents": self.incidents,
            "rows_taken": dict(self.report.taken),
            "rows_not_taken": len(self.report.not_taken),
            "cards": dict(self.people.used),
            "dead_letter": self.dead_letter,
            "faults": self.faults,
            "seconds": round(self.seconds, 1),
        }
