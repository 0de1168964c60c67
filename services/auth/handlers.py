"""How auth reacts to its own clock: a lock ends, and what is over is forgotten."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from broker import on
from contracts.auth import AuthCleanUpDue, AuthLockExpired
from services.auth import commands


@on(AuthLockExpired)
async def lift_lock(event: AuthLockExpired, session: AsyncSession) -> None:
    """Who was locked out may try again."""
    await commands.lift_lock(session, event.user_id)


@on(AuthCleanUpDue)
async def clean_up(event: AuthCleanUpDue, session: AsyncSession) -> None:
    """What no longer counts goes."""
    await commands.clean_up(session)
