"""Accounts that there are, until they are erased."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock, publish, unschedule
from contracts.auth import UserErased, UserStatus, UserSuspended
from services.auth import passwords, rules
from services.auth.commands.administrators import check_another_remains
from services.auth.commands.attempts import lock_name, look, note
from services.auth.commands.audit import record
from services.auth.commands.sessions import revoke_sessions
from services.auth.errors import UserCannotBecome
from services.auth.tables import (
    AuditLog,
    Device,
    FormerColleague,
    Invitation,
    LoginAttempt,
    MfaFactor,
    OpenRegistration,
    RecoveryCode,
    Session,
    User,
    Verification,
)

ERASED = "user.erased"
"""The audit log's word for it."""


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
    """Changes what a user says of themselves, by the names of the fields. The audit log says what was changed, not to what."""
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
    await forget_addresses(session, [user.email])
    user.forget()
    user.roles.clear()
    user.administrator = None
    await unschedule(session, lock_name(user_id))
    await revoke_sessions(session, user_id, "erased", by=by)
    await _forget(session, user_id)
    publish(session, UserErased(user_id=user_id, erased_at=clock.now()))
    await record(session, ERASED, by=by, user_id=user_id)
    return user


async def announce_erasures(session: AsyncSession) -> None:
    """Says again who was erased, and when: for a service that is new, or was restored from a backup."""
    said = select(AuditLog.user_id, AuditLog.at).where(AuditLog.action == ERASED).order_by(AuditLog.position)
    for user_id, at in await session.execute(said):
        publish(session, UserErased(user_id=user_id, erased_at=at))


async def forget_addresses(session: AsyncSession, addresses: Collection[str | None]) -> None:
    """Removes what is under way to these addresses."""
    for table in (Invitation, OpenRegistration):
        await session.execute(delete(table).where(table.email.in_(addresses)))


async def _let_back(session: AsyncSession, user_id: UUID, kept_out: UserStatus, action: str, *, by: object) -> User:
    user = await User.locked(session, user_id)
    if user.status != kept_out:
        raise UserCannotBecome(state=user.status, asked="active")
    user.move(rules.reinstated_as(is_proven=user.is_proven))
    user.failures_count_from = clock.now()
    await record(session, action, by=by, user_id=user_id)
    return user


async def _forget(session: AsyncSession, user_id: UUID) -> None:
    """Removes what only served to sign in, and where the user did so and worked."""
    await session.execute(update(Session).where(Session.user_id == user_id).values(device_id=None))
    await session.execute(update(LoginAttempt).where(LoginAttempt.user_id == user_id).values(address=None))
    for table in (Device, FormerColleague, MfaFactor, RecoveryCode, Verification):
        await session.execute(delete(table).where(table.user_id == user_id))
