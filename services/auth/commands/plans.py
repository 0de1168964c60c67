"""When auth forgets what is over."""

from __future__ import annotations

from datetime import datetime
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from broker import Cause, caused_by, clock, schedule
from contracts.auth import AuthCleanUpDue
from services.auth import rules


async def plan_clean_up(session: AsyncSession) -> None:
    """Has auth clean up within a day; planned again, it is still once."""
    await plan_clean_up_at(session, rules.next_clean_up(clock.now()), "clean-up")


async def plan_clean_up_at(session: AsyncSession, at: datetime, name: str) -> None:
    """Has auth clean up then. In a flow of its own: it does not follow from what somebody asked for."""
    await session.flush()  # what was changed before belongs to the flow that changed it
    with caused_by(Cause(flow=uuid4())):
        await schedule(session, AuthCleanUpDue(due_at=at), at=at, name=name)
