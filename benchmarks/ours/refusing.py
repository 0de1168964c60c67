"""The subscriber's business when one posting in a hundred is poison: `inserting`, but for those."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from benchmarks.effects import ACCOUNTS, Entry
from benchmarks.ours.ledger import Posted
from broker import Permanent, on

EVERY = 100


@on(Posted, on_failure="pass")
async def enter(event: Posted, session: AsyncSession) -> None:
    """Enters a posting, unless its account is one of a hundredth."""
    if event.account_id.int % ACCOUNTS % EVERY == 0:
        raise Permanent("poison")
    session.add(Entry(id=event.entry_id, account_id=event.account_id, amount=event.amount, note=event.note))
