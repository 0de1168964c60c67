"""A failed message as a row: all that PostgreSQL can hold of what came, however odd it is."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from broker._clock import clock
from broker._delivery import DELIVERY_COUNT, Delivery
from broker._envelope import Envelope
from broker._verdicts import Verdict


def row_of(subscription: str, delivery: Delivery, envelope: Envelope | None, verdict: Verdict, attempts: int) -> dict[str, Any]:
    """The row of `failed_message`. Without an envelope it has neither id nor key: nothing in the message is believed."""
    now = clock.now()
    return {
        "subscription": subscription,
        "id": envelope.id if envelope else None,
        "state": verdict.state,
        "type": clean(envelope.type if envelope else delivery.routing_key),
        "version": envelope.version if envelope else 0,
        "key": clean(envelope.subject) if envelope else "",
        "sequence": envelope.sequence if envelope else 0,
        "flow": envelope.flow if envelope else None,
        "cause": envelope.cause if envelope else None,
        "exchange": clean(delivery.exchange),
        "routing_key": clean(delivery.routing_key),
        "properties": _properties(delivery),
        "body": delivery.body,
        **asdict(verdict.evidence),
        "attempts": attempts,
        "due_at": verdict.due_at,
        "waits_for": verdict.waits_for,
        "waits_key": verdict.waits_key,
        "first_failed_at": now,
        "last_failed_at": now,
    }


def _properties(delivery: Delivery) -> dict[str, Any]:
    """The delivery's properties as a JSONB column takes them, without what differs between deliveries of one message."""
    properties = delivery.properties
    properties["headers"] = {name: value for name, value in properties["headers"].items() if name != DELIVERY_COUNT}
    cleaned: dict[str, Any] = storable(properties)
    return cleaned


def storable(value: Any) -> Any:
    """JSON without the two things that PostgreSQL refuses: the character NUL, and numbers that are none."""
    if isinstance(value, dict):
        return {clean(name): storable(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [storable(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return clean(value) if isinstance(value, str) else value


def clean(words: str) -> str:
    """The text without the character NUL, which PostgreSQL refuses."""
    return words.replace("\0", "\N{REPLACEMENT CHARACTER}")
