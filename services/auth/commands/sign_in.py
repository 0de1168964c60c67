"""Signing in: every failure looks the same from outside."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock, publish
from contracts.auth import AuthLoginSucceeded
from services.auth import passwords
from services.auth.commands import attempts
from services.auth.commands.audit import record
from services.auth.commands.mfa import steps_up
from services.auth.commands.plans import plan_clean_up
from services.auth.commands.sessions import SignedIn, begin_session
from services.auth.tables import User
from services.auth.vault import Vault


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
    looked = await attempts.look(session, User.email == shown.email, shown.password, shown.address)
    if looked.failure is not None:
        attempts.note(session, looked.user_id, shown.address, looked.failure)
        return None
    user = await User.locked(session, looked.user_id)
    if not await steps_up(session, user, shown.code, shown.address, vault):
        return None
    attempts.note(session, user.user_id, shown.address, "succeeded")
    if passwords.is_outdated(user.password_hash or ""):
        user.password_hash = await passwords.hashed(shown.password)
    user.failures_count_from = clock.now()
    begun = await begin_session(session, user, vault, device=device, facility_id=facility_id)
    publish(session, AuthLoginSucceeded(session_id=begun.session_id, user_id=user.user_id, succeeded_at=clock.now()))
    await plan_clean_up(session)
    await record(session, "signed_in", by=user.user_id, user_id=user.user_id, session_id=begun.session_id)
    return begun
