"""Attempts to sign in, and whatever else a password could be guessed by: noted, counted, and too many lock the door."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock, publish, schedule
from contracts.auth import AuthLockExpired, AuthLoginFailed, AuthUserLocked, LoginFailure
from services.auth import passwords, rules
from services.auth.commands.audit import record
from services.auth.tables import LoginAttempt, Outcome, User

ONE_BY_ONE = text("SELECT pg_advisory_xact_lock(hashtextextended('auth address ' || :address, 0))")


async def look(
    session: AsyncSession, named: ColumnElement[bool], password: str, address: str
) -> tuple[User | None, LoginFailure | None]:
    """The user, locked, and why they are refused by password, if they are: the same work for whoever is named.

    The work with the password comes before any lock.
    """
    found = (await session.execute(select(User.user_id, User.password_hash).where(named))).one_or_none()
    is_right = await passwords.is_right(password, found.password_hash if found else None)
    await session.execute(ONE_BY_ONE, {"address": address})
    user = await User.locked(session, found.user_id) if found else None
    is_same = user is not None and found is not None and user.password_hash == found.password_hash
    return user, await _failure(session, user, address, is_right=is_right and is_same)


async def note(session: AsyncSession, user: User | None, address: str, outcome: Outcome) -> None:
    """Writes down what came of an attempt; after too many guesses the account is locked."""
    now, user_id = clock.now(), user.user_id if user else None
    attempt = LoginAttempt(attempt_id=uuid4(), user_id=user_id, address=address, outcome=outcome, attempted_at=now)
    session.add(attempt)
    if outcome == "succeeded":
        return
    publish(session, AuthLoginFailed(attempt_id=attempt.attempt_id, user_id=user_id, reason=outcome, failed_at=now))
    if user is not None and outcome in rules.COUNTED:
        await session.flush()
        await _lock_after_too_many(session, user)


def lock_name(user_id: UUID) -> str:
    """What the end of a user's lock is scheduled under."""
    return f"lock of {user_id}"


async def _failure(session: AsyncSession, user: User | None, address: str, *, is_right: bool) -> LoginFailure | None:
    guesses = await _guesses(session, clock.now() - rules.FAILURE_WINDOW, LoginAttempt.address == address)
    return rules.refused_because(
        user.status if user else None,
        is_password_right=is_right,
        is_address_locked=guesses >= rules.FAILURES_PER_ADDRESS,
        is_familiar=user is not None and await _is_familiar(session, user, address),
    )


async def _is_familiar(session: AsyncSession, user: User, address: str) -> bool:
    from_there = (LoginAttempt.user_id == user.user_id, LoginAttempt.address == address)
    recently = LoginAttempt.attempted_at > clock.now() - rules.FAMILIAR_FOR
    successes = select(func.count()).where(*from_there, recently, LoginAttempt.outcome == "succeeded")
    guesses = await _guesses(session, clock.now() - rules.FAILURE_WINDOW, *from_there)
    return rules.is_familiar(await session.scalar(successes) or 0, guesses)


async def _lock_after_too_many(session: AsyncSession, user: User) -> None:
    now = clock.now()
    since = rules.failures_count_since(now, user.failures_count_from)
    guesses = await _guesses(session, since, LoginAttempt.user_id == user.user_id)
    if not rules.is_to_be_locked(user.status, guesses):
        return
    user.move("locked")
    user.locked_until = now + rules.LOCK_LASTS
    publish(session, AuthUserLocked(user_id=user.user_id, locked_until=user.locked_until))
    lock_expired = AuthLockExpired(user_id=user.user_id)
    await schedule(session, lock_expired, at=user.locked_until, name=lock_name(user.user_id))
    await record(session, "user.locked", by="auth", user_id=user.user_id)


async def _guesses(session: AsyncSession, since: datetime, *by: ColumnElement[bool]) -> int:
    counted = (LoginAttempt.outcome.in_(rules.COUNTED), LoginAttempt.attempted_at > since)
    return await session.scalar(select(func.count()).where(*by, *counted)) or 0
