"""What came of the demo, as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from broker._sequences import Step
from nilecare.demo.agreement import Agreement
from nilecare.demo.latency import Latency
from nilecare.demo.money import Check

PROMPT = 1.0
"""Seconds within which a revoked session has to be refused everywhere."""


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
    seen: Mapping[str, int]
    """Patients, by what happened to them."""
    asked: Mapping[str, int]
    """Requests that were answered, by service."""
    cards: Mapping[str, int]
    """Payments that were tried, by card."""
    declined: int
    mails: Mapping[str, int]
    """By subject."""
    texts: list[str]
    """What the short messages said."""
    refused_after: float
    """Seconds from a session's end until every service refused its token."""
    disclosed: Mapping[str, int]
    """Names, numbers and addresses that could be read where they do not belong, by where."""
    diagrams: Mapping[str, Sequence[Step]]
    """The first flow of each kind, by what it shows."""
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
        found |= {f"{where} tells {count} names, numbers or addresses": count for where, count in self.disclosed.items()}
        found |= {f"a revoked session was refused only after {self.refused_after:.2f} seconds": self.refused_after > PROMPT}
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
            "patients": dict(self.seen),
            "requests": dict(self.asked),
            "mails": sum(self.mails.values()),
            "mails_by_subject": dict(self.mails),
            "short_messages": len(self.texts),
            "refused_after_ms": round(self.refused_after * 1000),
            "disclosed": dict(self.disclosed),
            "cards": dict(self.cards),
            "dead_letter": self.dead_letter,
            "faults": self.faults,
            "seconds": round(self.seconds, 1),
        }
