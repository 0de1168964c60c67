"""The subscriber's business in the workload `insert`."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from benchmarks.effects import Entry
from benchmarks.ours.ledger import Posted
from broker import on


@on(Posted)
async def enter(event: Posted, session: AsyncSession) -> None:
    """Enters a posting."""
    session.add(Entry(id=event.entry_id, account_id=event.account_id, amount=event.amount, note=event.note))
