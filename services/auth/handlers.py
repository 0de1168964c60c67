"""How auth reacts to itself: accounts begin, too many failures lock, a lock ends, and what is over is forgotten."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from broker import on
from contracts.auth import AuthCleanUpDue, AuthLockExpired, AuthLoginFailed, AuthRegistrationAsked
from services.auth import commands


@on(AuthRegistrationAsked)
async def begin_account(event: AuthRegistrationAsked, session: AsyncSession) -> None:
    """An address without an account gets a code; one that has an account does not."""
    await commands.begin_account(session, event.registration_id)


@on(AuthLoginFailed)
async def lock_out(event: AuthLoginFailed, session: AsyncSession) -> None:
    """An account that is guessed at is locked; until this is heard, sign-in refuses by its own count."""
    if event.user_id is not None:
        await commands.lock_after_too_many(session, event.user_id)


@on(AuthLockExpired)
async def lift_lock(event: AuthLockExpired, session: AsyncSession) -> None:
    """Who was locked out may try again."""
    await commands.lift_lock(session, event.user_id)


@on(AuthCleanUpDue)
async def clean_up(event: AuthCleanUpDue, session: AsyncSession) -> None:
    """What no longer counts goes."""
    await commands.clean_up(session)
