"""From commit to effect: how long events took, with the outages in it and without."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from broker import Service
from broker._database import Database

PUBLISHED = text("SELECT id, occurred_at FROM backbone.published")
HANDLED = text("SELECT id, handled_at FROM backbone.inbox")


@dataclass(frozen=True, slots=True)
class Outage:
    """Something was down from one moment to another."""

    what: str
    began: datetime
    ended: datetime


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from an event's commit to its effect, over so many effects."""

    effects: int
    p50: float
    p99: float

    @classmethod
    def of(cls, seconds: Iterable[float]) -> Latency:
        """Of these effects. Zero when there are none."""
        ordered = sorted(seconds)
        return cls(len(ordered), _percentile(ordered, 50), _percentile(ordered, 99))

    def as_json(self) -> dict[str, float]:
        """As JSON data."""
        return {"p50": self.p50, "p99": self.p99, "effects": self.effects}


async def latencies(databases: Mapping[Service, Database], outages: Sequence[Outage]) -> tuple[Latency, Latency]:
    """Of every effect; and of those alone that no outage touched, between their event's commit and themselves."""
    published: dict[UUID, datetime] = {}
    handled: list[tuple[UUID, datetime]] = []
    for database in databases.values():
        async with database.engine.connect() as connection:
            published.update((id_, at) for id_, at in await connection.execute(PUBLISHED))
            handled += [(id_, at) for id_, at in await connection.execute(HANDLED)]
    spans = [(published[id_], at) for id_, at in handled if id_ in published]
    quiet = [(began, ended) for began, ended in spans if not any(ended > out.began and began < out.ended for out in outages)]
    return Latency.of(map(_seconds, spans)), Latency.of(map(_seconds, quiet))


def _seconds(span: tuple[datetime, datetime]) -> float:
    return (span[1] - span[0]).total_seconds()


def _percentile(ordered: Sequence[float], percent: int) -> float:
    """The smallest value that so many percent do not exceed (nearest rank), in milliseconds."""
    if not ordered:
        return 0.0
    rank = -(-len(ordered) * percent // 100)
    return round(ordered[rank - 1] * 1000, 1)
