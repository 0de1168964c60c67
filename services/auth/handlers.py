"""How auth reacts: to the end of a lock, of which it tells itself."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from broker import on
from contracts.auth import AuthLockExpired
from services.auth import commands


@on(AuthLockExpired)
async def lift_lock(event: AuthLockExpired, session: AsyncSession) -> None:
    """Who was locked out may try again."""
    await commands.lift_lock(session, event.user_id)
