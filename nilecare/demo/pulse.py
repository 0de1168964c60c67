"""Feeling the pulse of every service: what waits where, asked of the databases alone, so that it works without a broker."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping

from sqlalchemy import text

from broker import Service
from broker._database import Database
from nilecare.demo.board import Board, Pulse

INTERVAL = 0.5
"""Seconds between two looks."""

COUNTS = text(
    """
    SELECT (SELECT count(*) FROM backbone.outbox) AS outbox,
           (SELECT count(*) FROM backbone.published) AS published,
           (SELECT count(*) FROM backbone.inbox) AS effects,
           (SELECT count(*) FROM backbone.failed_message) AS failed
    """
)
DUE = text("SELECT split_part(queue, '.', 1), count(*) FROM backbone.published, unnest(subscriptions) queue GROUP BY 1")


async def feel(databases: Mapping[Service, Database], board: Board) -> None:
    """Keeps the board's pulses fresh, until cancelled."""
    last = time.monotonic()
    while True:
        pulses, events = await look(databases)
        now = time.monotonic()
        board.beat(pulses, events, now - last)
        last = now
        await asyncio.sleep(INTERVAL)


async def look(databases: Mapping[Service, Database]) -> tuple[dict[str, Pulse], int]:
    """Every service's pulse, and how many events there have been."""
    due: Counter[str] = Counter()
    counts = {}
    for service, database in databases.items():
        async with database.engine.connect() as connection:
            counts[service.name] = (await connection.execute(COUNTS)).one()
            for name, count in await connection.execute(DUE):
                due[name] += count
    pulses = {
        name: Pulse(
            outbox=row.outbox,
            queued=max(0, due[name] - row.effects - row.failed),
            failed=row.failed,
            effects=row.effects,
        )
        for name, row in counts.items()
    }
    return pulses, sum(row.outbox + row.published for row in counts.values())
