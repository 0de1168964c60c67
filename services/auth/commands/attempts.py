"""Attempts to sign in, and whatever else a password could be guessed by: noted, counted, and too many lock the door.

What is looked up, written and published for a failure is the same whoever is named, if anybody: what differs follows later,
from the event. So the time that a reply takes does not tell who has an account.
"""

from __future__ import annotations

from dataclasses import dataclass
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

NOBODY = UUID(int=0)
"""Whose account is looked up when there is none."""


@dataclass(frozen=True, slots=True)
class Looked:
    """Whom somebody claims to be, None when nobody is called so, and why they are refused, if they are."""

    user_id: UUID | None
    failure: LoginFailure | None


async def look(session: AsyncSession, named: ColumnElement[bool], password: str, address: str) -> Looked:
    """Whether this is the password of the user who is named, whose row is locked.

    The work with the password comes before any lock.
    """
    found = (await session.execute(select(User.user_id, User.password_hash).where(named))).one_or_none()
    is_right = await passwords.is_right(password, found.password_hash if found else None)
    await session.execute(ONE_BY_ONE, {"address": address})
    user_id = found.user_id if found else NOBODY
    columns = select(User.status, User.password_hash, User.failures_count_from).where(User.user_id == user_id)
    now = (await session.execute(columns.with_for_update())).one_or_none()
    failure = rules.refused_because(
        now.status if now else None,
        is_password_right=is_right and now is not None and found is not None and now.password_hash == found.password_hash,
        is_address_locked=await _guesses_from(session, address) >= rules.FAILURES_PER_ADDRESS,
        is_guessed_at=await _guesses_at(session, user_id, now.failures_count_from if now else None)
        >= rules.FAILURES_PER_ACCOUNT,
        is_familiar=await _is_familiar(session, user_id, address),
    )
    return Looked(found.user_id if found else None, failure)


def note(session: AsyncSession, user_id: UUID | None, address: str, outcome: Outcome) -> None:
    """Writes down what came of an attempt, and tells of a failure."""
    now = clock.now()
    attempt = LoginAttempt(attempt_id=uuid4(), user_id=user_id, address=address, outcome=outcome, attempted_at=now)
    session.add(attempt)
    if outcome != "succeeded":
        publish(session, AuthLoginFailed(attempt_id=attempt.attempt_id, user_id=user_id, reason=outcome, failed_at=now))


async def lock_after_too_many(session: AsyncSession, user_id: UUID) -> None:
    """Locks an account that is guessed at."""
    user = await User.locked(session, user_id)
    guesses = await _guesses_at(session, user_id, user.failures_count_from)
    if not rules.is_to_be_locked(user.status, guesses):
        return
    user.move("locked")
    user.locked_until = clock.now() + rules.LOCK_LASTS
    publish(session, AuthUserLocked(user_id=user.user_id, locked_until=user.locked_until))
    lock_expired = AuthLockExpired(user_id=user.user_id)
    await schedule(session, lock_expired, at=user.locked_until, name=lock_name(user.user_id))
    await record(session, "user.locked", by="auth", user_id=user.user_id)


def lock_name(user_id: UUID) -> str:
    """What the end of a user's lock is scheduled under."""
    return f"lock of {user_id}"


async def _is_familiar(session: AsyncSession, user_id: UUID, address: str) -> bool:
    from_there = (LoginAttempt.user_id == user_id, LoginAttempt.address == address)
    recently = LoginAttempt.attempted_at > clock.now() - rules.FAMILIAR_FOR
    successes = select(func.count()).where(*from_there, recently, LoginAttempt.outcome == "succeeded")
    guesses = await _guesses(session, clock.now() - rules.FAILURE_WINDOW, *from_there)
    return rules.is_familiar(await session.scalar(successes) or 0, guesses)


async def _guesses_from(session: AsyncSession, address: str) -> int:
    return await _guesses(session, clock.now() - rules.FAILURE_WINDOW, LoginAttempt.address == address)


async def _guesses_at(session: AsyncSession, user_id: UUID, forgiven: datetime | None) -> int:
    now = clock.now()
    return await _guesses(session, rules.failures_count_since(now, forgiven or now), LoginAttempt.user_id == user_id)


async def _guesses(session: AsyncSession, since: datetime, *by: ColumnElement[bool]) -> int:
    counted = (LoginAttempt.outcome.in_(rules.COUNTED), LoginAttempt.attempted_at > since)
    return await session.scalar(select(func.count()).where(*by, *counted)) or 0
