"""Registration: what is asked for is taken whoever asks; whether the address has an account is looked at afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID, uuid4

from sqlalchemy import delete, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock, publish
from contracts.auth import AuthRegistrationAsked, AuthVerificationRequested, UserRegistered, UserStatus, UserVerified
from services.auth import passwords, rules, totp
from services.auth.commands.audit import record
from services.auth.errors import CodeIsNotValid
from services.auth.tables import OpenRegistration, User, Verification

PROFILE = ("full_name", "phone", "locale", "time_zone")
"""What users say of themselves at registration, from when it counts once the address is proven."""

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
    """Takes down who wants an account, with the same work whether or not the address has one."""
    password_hash = await passwords.hashed(asked.password)
    said = {name: getattr(asked, name) for name in ("email", *PROFILE)}
    taken = OpenRegistration(registration_id=uuid4(), password_hash=password_hash, asked_at=clock.now(), **said)
    session.add(taken)
    publish(session, AuthRegistrationAsked(registration_id=taken.registration_id, asked_at=taken.asked_at))


async def begin_account(session: AsyncSession, registration_id: UUID) -> None:
    """Begins the account and sends a code to its address; for an address that has one, nothing.

    Until the address is proven anybody may register it again: of password, name and phone those count whose code is used.
    """
    asked = await session.get(OpenRegistration, registration_id)
    if asked is None:
        return
    await session.delete(asked)
    user = await _of_address(session, asked)
    if user.status != "pending" or await _open_verifications(session, user) >= rules.OPEN_VERIFICATIONS:
        return
    code, expires_at = totp.new_code(), clock.now() + rules.VERIFICATION_LIFETIME
    said = {name: getattr(asked, name) for name in ("password_hash", *PROFILE)}
    session.add(Verification(code_hash=totp.digest(code), user_id=user.user_id, expires_at=expires_at, **said))
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


async def add_user(session: AsyncSession, asked: Registration | OpenRegistration, *, status: UserStatus) -> User:
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


async def _of_address(session: AsyncSession, asked: OpenRegistration) -> User:
    """The account of this address, made if there is none: of two at once, one makes it."""
    await session.execute(ONE_BY_ONE, {"email": asked.email})
    known = await User.by_email(session, asked.email)
    return known or await add_user(session, asked, status="pending")


async def _open_verifications(session: AsyncSession, user: User) -> int:
    is_open = (Verification.user_id == user.user_id, Verification.expires_at > clock.now())
    return await session.scalar(select(func.count()).select_from(Verification).where(*is_open)) or 0
