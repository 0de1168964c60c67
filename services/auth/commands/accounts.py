"""Accounts, from registration to erasure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID, uuid4

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock, publish, unschedule
from contracts.auth import AuthVerificationRequested, UserErased, UserRegistered, UserStatus, UserSuspended, UserVerified
from services.auth import passwords, rules, totp
from services.auth.commands.administrators import check_another_remains
from services.auth.commands.attempts import lock_name, look, note
from services.auth.commands.audit import record
from services.auth.commands.sessions import revoke_sessions
from services.auth.errors import CodeIsNotValid, UserCannotBecome
from services.auth.tables import (
    Device,
    FormerColleague,
    Invitation,
    LoginAttempt,
    MfaFactor,
    RecoveryCode,
    Session,
    User,
    Verification,
)

PROFILE = ("full_name", "phone", "locale", "time_zone")
"""What users say of themselves: at registration, from when it counts once the address is proven, and later."""

ONE_BY_ONE = text("SELECT pg_advisory_xact_lock(hashtextextended('auth email ' || :email, 0))")


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """Who wants an account."""

    email: str
    password: str
    full_name: str
    phone: str | None
    locale: str
    time_zone: str


async def register(session: AsyncSession, asked: Registration) -> None:
    """Begins an account and sends a code to its address; for an address that has one, the same as far as anybody can tell.

    Until the address is proven anybody may register it again: of password, name and phone those count whose code is used.
    """
    password_hash = await passwords.hashed(asked.password)
    user = await _pending(session, asked)
    if user is None or user.status != "pending" or await _open_verifications(session, user) >= rules.OPEN_VERIFICATIONS:
        return
    code, expires_at = totp.new_code(), clock.now() + rules.VERIFICATION_LIFETIME
    said = {name: getattr(asked, name) for name in PROFILE}
    digest = totp.digest(code)
    session.add(
        Verification(code_hash=digest, user_id=user.user_id, password_hash=password_hash, expires_at=expires_at, **said)
    )
    publish(session, AuthVerificationRequested(user_id=user.user_id, code=code, expires_at=expires_at))


async def verify(session: AsyncSession, code: str) -> User:
    """Proves an address. Raises CodeIsNotValid."""
    query = select(Verification).where(Verification.code_hash == totp.digest(code), Verification.expires_at > clock.now())
    shown = (await session.scalars(query)).one_or_none()
    user = await User.locked(session, shown.user_id) if shown else None
    if shown is None or user is None or user.status != "pending":
        raise CodeIsNotValid
    user.move("active")
    for name in ("password_hash", *PROFILE):
        setattr(user, name, getattr(shown, name))
    user.failures_count_from = clock.now()
    await session.execute(delete(Verification).where(Verification.user_id == user.user_id))
    publish(session, UserVerified(user_id=user.user_id, verified_at=clock.now()))
    await record(session, "user.verified", by=user.user_id, user_id=user.user_id)
    return user


async def proven(session: AsyncSession, user_id: UUID, password: str, address: str) -> User | None:
    """The user, locked, if this is their password; None if not, which counts as a failed sign-in does."""
    looked = await look(session, User.user_id == user_id, password, address)
    if looked.failure is not None:
        note(session, looked.user_id, address, looked.failure)
        return None
    return await User.locked(session, user_id)


async def change_password(session: AsyncSession, user: User, new: str) -> None:
    """Sets a new password and ends all sessions."""
    user.password_hash = await passwords.hashed(new)
    await revoke_sessions(session, user.user_id, "password_changed", by=user.user_id)
    await record(session, "password.changed", by=user.user_id, user_id=user.user_id)


async def change_profile(session: AsyncSession, user_id: UUID, changes: Mapping[str, str | None]) -> User:
    """Changes what a user says of themselves, by the names of PROFILE. The audit log says what was changed, not to what."""
    user = await User.locked(session, user_id)
    changed = sorted(name for name, value in changes.items() if getattr(user, name) != value)
    for name in changed:
        setattr(user, name, changes[name])
    if changed:
        await record(session, "profile.changed", by=user_id, user_id=user_id, fields=", ".join(changed))
    return user


async def suspend(session: AsyncSession, user_id: UUID, *, by: object) -> User:
    """Keeps a user out until somebody reinstates them. Raises UserCannotBecome, LastAdministratorMustStay."""
    user = await User.locked(session, user_id)
    await check_another_remains(session, user)
    user.move("suspended")
    await unschedule(session, lock_name(user_id))
    publish(session, UserSuspended(user_id=user_id, suspended_at=clock.now()))
    await revoke_sessions(session, user_id, "suspended", by=by)
    await record(session, "user.suspended", by=by, user_id=user_id)
    return user


async def reinstate(session: AsyncSession, user_id: UUID, *, by: object) -> User:
    """Ends a suspension: who could sign in before can do so again. Raises UserCannotBecome."""
    return await _let_back(session, user_id, "suspended", "user.reinstated", by=by)


async def unlock(session: AsyncSession, user_id: UUID, *, by: object) -> User:
    """Ends a lock before its time. Raises UserCannotBecome."""
    user = await _let_back(session, user_id, "locked", "user.unlocked", by=by)
    await unschedule(session, lock_name(user_id))
    return user


async def lift_lock(session: AsyncSession, user_id: UUID) -> None:
    """Ends a lock that has lasted its time."""
    user = await User.locked(session, user_id)
    if user.status == "locked" and user.locked_until is not None and user.locked_until <= clock.now():
        await _let_back(session, user_id, "locked", "lock.expired", by="auth")


async def erase(session: AsyncSession, user_id: UUID, *, by: object) -> User:
    """Forgets a person: what is left is an id, in the audit log too. Raises UserCannotBecome, LastAdministratorMustStay."""
    user = await User.locked(session, user_id)
    await check_another_remains(session, user)
    user.move("deleted")
    await session.execute(delete(Invitation).where(Invitation.email == user.email))
    user.email = user.phone = user.password_hash = None
    user.full_name = user.locale = user.time_zone = ""
    user.roles.clear()
    user.administrator = None
    await unschedule(session, lock_name(user_id))
    await revoke_sessions(session, user_id, "erased", by=by)
    await _forget(session, user_id)
    publish(session, UserErased(user_id=user_id, erased_at=clock.now()))
    await record(session, "user.erased", by=by, user_id=user_id)
    return user


async def _let_back(session: AsyncSession, user_id: UUID, kept_out: UserStatus, action: str, *, by: object) -> User:
    user = await User.locked(session, user_id)
    if user.status != kept_out:
        raise UserCannotBecome(state=user.status, asked="active")
    user.move(rules.reinstated_as(is_proven=user.is_proven))
    user.failures_count_from = clock.now()
    await record(session, action, by=by, user_id=user_id)
    return user


async def _pending(session: AsyncSession, asked: Registration) -> User | None:
    """The account of this address, made if there is none: of two at once, one makes it."""
    await session.execute(ONE_BY_ONE, {"email": asked.email})
    known = await User.by_email(session, asked.email)
    return known or await add_user(session, asked, status="pending")


async def _open_verifications(session: AsyncSession, user: User) -> int:
    is_open = (Verification.user_id == user.user_id, Verification.expires_at > clock.now())
    return await session.scalar(select(func.count()).select_from(Verification).where(*is_open)) or 0


async def add_user(session: AsyncSession, asked: Registration, *, status: UserStatus) -> User:
    """A new account, without a password."""
    now = clock.now()
    user = User(
        user_id=uuid4(),
        email=asked.email,
        full_name=asked.full_name,
        phone=asked.phone,
        locale=asked.locale,
        time_zone=asked.time_zone,
        status=status,
        registered_at=now,
        failures_count_from=now,
        roles=[],
        administrator=None,
    )
    session.add(user)
    publish(session, UserRegistered(user_id=user.user_id, registered_at=now))
    await record(session, "user.registered", by=user.user_id, user_id=user.user_id)
    return user


async def _forget(session: AsyncSession, user_id: UUID) -> None:
    """Removes what only served to sign in, and where the user did so and worked."""
    await session.execute(update(Session).where(Session.user_id == user_id).values(device_id=None))
    await session.execute(update(LoginAttempt).where(LoginAttempt.user_id == user_id).values(address=None))
    for table in (Device, FormerColleague, MfaFactor, RecoveryCode, Verification):
        await session.execute(delete(table).where(table.user_id == user_id))
