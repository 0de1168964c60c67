"""Effects that came twice: told by the source event's id that they carry, on tables that no unique key protects."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import text

from broker._database import Database

EFFECTS: tuple[tuple[str, str, str], ...] = (
    ("billing", "charges", "source_event_id, position"),
    ("billing", "invoice_payment_allocations", "source_event_id, line_id, reverses_id"),
    ("billing", "receipts", "source_event_id"),
    ("billing", "credits", "source_event_id"),
    ("clinical", "result_entries", "source_event_id"),
    ("clinical", "paid_invoice_entries", "source_event_id"),
    ("ehr", "result_entries", "source_event_id"),
)
"""Service, table, and what one event can cause only once in it."""


async def duplicated(databases: Mapping[str, Database]) -> int:
    """How many effects there are too many, in those of these services that are given."""
    surplus = 0
    for service, table, once in EFFECTS:
        if service in databases:
            counted = f"SELECT count(*) - count(DISTINCT ({once})) FROM {table}"  # noqa: S608 (names of our own)
            async with databases[service].engine.connect() as connection:
                surplus += await connection.scalar(text(counted)) or 0
    return surplus
