"""What went wrong on the way and was put right, as the services' logs tell it: they outlive a process that is killed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

MEANING = {
    "message.waiting": "a message waited for a replica",
    "message.retrying": "a message was put off and tried again",
    "message.held": "a message was laid behind an earlier one of its key",
    "message.dead": "a message became a dead letter",
    "call.put_off": "a call to the world outside was put off, or asked about",
    "relay.in_doubt": "a relay did not know what the broker had taken, and sent it again",
    "batch.postponed": "a batch waited for a database",
}
"""The log events that tell of a trouble, and what they mean."""


def troubles(logs: Iterable[Path]) -> Counter[str]:
    """How often what went wrong, by the name of the log event."""
    counted: Counter[str] = Counter()
    for log in logs:
        for line in log.read_text(errors="replace").splitlines():
            name = _event(line)
            if name in MEANING:
                counted[name] += 1
    return counted


def _event(line: str) -> str | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    event = entry.get("event") if isinstance(entry, dict) else None
    return event if isinstance(event, str) else None
