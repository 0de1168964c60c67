"""The subscriber's business when its latency is measured: `inserting`, and a note of when it was committed."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from sqlalchemy import event as sa_event
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from benchmarks.effects import Entry
from benchmarks.ours.ledger import Posted
from broker import on
from broker._publishing import PublishingSession

ENTERED = "benchmark.entered"

told: list[Callable[[UUID], None]] = []
"""Who is told of each effect, after its commit."""


@on(Posted)
async def enter(event: Posted, session: AsyncSession) -> None:
    """Enters a posting."""
    session.add(Entry(id=event.entry_id, account_id=event.account_id, amount=event.amount, note=event.note))
    session.info.setdefault(ENTERED, []).append(event.entry_id)


@sa_event.listens_for(PublishingSession, "after_commit")
def _tell(session: Session) -> None:
    for id_ in session.info.pop(ENTERED, ()):
        for tell in told:
            tell(id_)
