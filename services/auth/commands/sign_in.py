"""Signing in, and what keeps others from guessing: every failure looks the same from outside, and too many lock the door."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID, uuid4

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock, publish, schedule
from contracts.auth import AuthLockExpired, AuthLoginFailed, AuthLoginSucceeded, AuthUserLocked, LoginFailure
from services.auth import passwords, rules
from services.auth.commands.audit import record
from services.auth.commands.mfa import confirmed_factor, takes_code
from services.auth.commands.sessions import SignedIn, begin_session
from services.auth.errors import CodeIsNeeded
from services.auth.tables import LoginAttempt, Outcome, User
from services.auth.vault import Vault

ONE_BY_ONE = text("SELECT pg_advisory_xact_lock(hashtextextended('auth address ' || :address, 0))")


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What somebody shows. `address` is where the connection comes from."""

    email: str
    password: str
    code: str | None
    address: str


async def sign_in(
    session: AsyncSession, shown: Credentials, vault: Vault, *, device: str | None, facility_id: UUID | None
) -> SignedIn | None:
    """Begins a session; None when these credentials are not good, which is then counted.

    Raises CodeIsNeeded when only the code is absent, UserHasNoRoleThere.
    """
    user, is_right = await _look(session, shown)
    failure = await _failure(session, user, shown, is_right=is_right, vault=vault)
    await _note(session, user, shown, failure or "succeeded")
    if failure is not None or user is None:
        return None
    if passwords.is_outdated(user.password_hash or ""):
        user.password_hash = await passwords.hashed(shown.password)
    user.failures_count_from = clock.now()
    begun = await begin_session(session, user, vault, device=device, facility_id=facility_id)
    publish(session, AuthLoginSucceeded(session_id=begun.session_id, user_id=user.user_id, succeeded_at=clock.now()))
    await record(session, "signed_in", by=user.user_id, user_id=user.user_id, session_id=begun.session_id)
    return begun


async def _look(session: AsyncSession, shown: Credentials) -> tuple[User | None, bool]:
    """The user, locked, and whether the password is right: the same work for whoever is named, and before any lock."""
    named = await session.execute(select(User.user_id, User.password_hash).where(User.email == shown.email))
    found = named.one_or_none()
    is_right = await passwords.is_right(shown.password, found.password_hash if found else None)
    await session.execute(ONE_BY_ONE, {"address": shown.address})
    user = await User.locked(session, found.user_id) if found else None
    is_same = user is not None and found is not None and user.password_hash == found.password_hash
    return user, is_right and is_same


async def _failure(
    session: AsyncSession, user: User | None, shown: Credentials, *, is_right: bool, vault: Vault
) -> LoginFailure | None:
    since = clock.now() - rules.FAILURE_WINDOW
    from_there = select(func.count()).where(LoginAttempt.address == shown.address, LoginAttempt.attempted_at > since)
    failures = await session.scalar(from_there.where(LoginAttempt.outcome.in_(rules.COUNTED))) or 0
    is_locked = failures >= rules.FAILURES_PER_ADDRESS
    status = user.status if user else None
    failure = rules.refused_because(status, is_password_right=is_right, is_address_locked=is_locked)
    if failure is not None or user is None:
        return failure
    factor = await confirmed_factor(session, user.user_id)
    if factor is None:
        return None
    if shown.code is None:
        raise CodeIsNeeded
    return None if await takes_code(session, factor, shown.code, vault) else "wrong_code"


async def _note(session: AsyncSession, user: User | None, shown: Credentials, outcome: Outcome) -> None:
    now, user_id = clock.now(), user.user_id if user else None
    attempt = LoginAttempt(attempt_id=uuid4(), user_id=user_id, address=shown.address, outcome=outcome, attempted_at=now)
    session.add(attempt)
    if outcome == "succeeded":
        return
    publish(session, AuthLoginFailed(attempt_id=attempt.attempt_id, user_id=user_id, reason=outcome, failed_at=now))
    if user is not None and outcome in rules.COUNTED:
        await _lock_after_too_many(session, user)


async def _lock_after_too_many(session: AsyncSession, user: User) -> None:
    await session.flush()
    now = clock.now()
    since = rules.failures_count_since(now, user.failures_count_from)
    guesses = (LoginAttempt.user_id == user.user_id, LoginAttempt.outcome.in_(rules.COUNTED))
    failures = await session.scalar(select(func.count()).where(*guesses, LoginAttempt.attempted_at > since)) or 0
    if not rules.is_to_be_locked(user.status, failures):
        return
    user.move("locked")
    user.locked_until = now + rules.LOCK_LASTS
    publish(session, AuthUserLocked(user_id=user.user_id, locked_until=user.locked_until))
    lock_expired = AuthLockExpired(user_id=user.user_id)
    await schedule(session, lock_expired, at=user.locked_until, name=lock_name(user.user_id))
    await record(session, "user.locked", by="auth", user_id=user.user_id)


def lock_name(user_id: UUID) -> str:
    """What the end of a user's lock is scheduled under."""
    return f"lock of {user_id}"
