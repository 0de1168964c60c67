"""The subscriber's business in the workload `update`."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from benchmarks.effects import Account
from benchmarks.ours.ledger import Posted
from broker import on


@on(Posted)
async def add_up(event: Posted, session: AsyncSession) -> None:
    """Adds a posting to its account."""
    account = await session.get_one(Account, event.account_id, with_for_update=True)
    account.total += event.amount
    account.entries += 1
