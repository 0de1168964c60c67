"""Sessions: begun by a sign-in, kept alive by refresh tokens that are each good once, revoked everywhere at once."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import NotFound, clock, issue_token
from contracts.auth import Grant, RevocationReason
from services.auth import rules, totp
from services.auth.commands.audit import record
from services.auth.commands.keys import signing_key
from services.auth.tables import Device, RefreshToken, RevokedSession, Session, User
from services.auth.vault import Vault


@dataclass(frozen=True, slots=True)
class SignedIn:
    """What a client gets: an access token for requests, and a refresh token for the next one."""

    access_token: str
    refresh_token: str
    session_id: UUID
    user_id: UUID
    scope: rules.Scope


async def begin_session(
    session: AsyncSession, user: User, vault: Vault, *, device: str | None, facility_id: UUID | None
) -> SignedIn:
    """Signs a user in who has proven who they are. Raises UserHasNoRoleThere."""
    now = clock.now()
    begun = Session(
        session_id=uuid4(),
        user_id=user.user_id,
        device_id=await _device(session, user.user_id, device) if device else None,
        facility_id=facility_id,
        status="active",
        began_at=now,
        last_used_at=now,
    )
    session.add(begun)
    await session.flush()
    return await _tokens(session, begun, user, vault)


async def refresh(session: AsyncSession, token: str, vault: Vault, *, facility_id: UUID | None) -> SignedIn | None:
    """New tokens for a refresh token, which is good no more; None when it was not.

    One that was used before is in two hands: the whole family is revoked, whoever comes second.
    Raises UserHasNoRoleThere when another facility is chosen.
    """
    digest = totp.digest(token)
    session_id = await session.scalar(select(RefreshToken.session_id).where(RefreshToken.token_hash == digest))
    if session_id is None:
        return None
    # The session first, as whoever revokes it locks them.
    begun = await Session.locked(session, session_id)
    shown = await RefreshToken.locked(session, digest)
    if shown.status == "rotated" and begun.status == "active":
        await _revoke(session, begun, "refresh_token_reused", by=begun.user_id)
    if shown.status != "active" or begun.status != "active" or shown.expires_at <= clock.now():
        return None
    shown.move("rotated")
    begun.last_used_at = clock.now()
    if facility_id is not None and facility_id != begun.facility_id:
        begun.facility_id, begun.chosen_at = facility_id, begun.last_used_at
    return await _tokens(session, begun, await User.seen(session, begun.user_id), vault)


async def revoke_session(session: AsyncSession, session_id: UUID, reason: RevocationReason, *, of: UUID, by: object) -> None:
    """Ends a session of a user's; again changes nothing. Raises NotFound for one of another user."""
    begun = await Session.locked(session, session_id)
    if begun.user_id != of:
        raise NotFound
    if begun.status == "active":
        await _revoke(session, begun, reason, by=by)


async def revoke_sessions(session: AsyncSession, user_id: UUID, reason: RevocationReason, *, by: object) -> None:
    """Ends all sessions of a user."""
    for begun in await _active(session, user_id):
        await _revoke(session, begun, reason, by=by)


async def revoke_overtaken(session: AsyncSession, user: User, before: Iterable[Grant], *, by: object) -> None:
    """Ends the sessions whose tokens would say something else than with the roles that the user had before."""
    now = clock.now()
    for begun in await _active(session, user.user_id):
        if rules.is_overtaken(before, user.grants, begun.facility_id, chosen_at=begun.chosen_at, now=now):
            await _revoke(session, begun, "role_changed", by=by)


def no_longer_counts(session: AsyncSession, session_id: UUID, user_id: UUID, reason: RevocationReason) -> None:
    """Tells every service to refuse a session, for as long as a token of it could be shown."""
    now = clock.now()
    expires_at = now + rules.ACCESS_TOKEN_LIFETIME + rules.CLOCK_SKEW
    session.add(RevokedSession(session_id=session_id, user_id=user_id, reason=reason, revoked_at=now, expires_at=expires_at))


async def _active(session: AsyncSession, user_id: UUID) -> Sequence[Session]:
    """Locked, so that no token of theirs is given meanwhile."""
    query = select(Session).where(Session.user_id == user_id, Session.status == "active").order_by(Session.session_id)
    return (await session.scalars(query.with_for_update())).all()


async def _revoke(session: AsyncSession, begun: Session, reason: RevocationReason, *, by: object) -> None:
    begun.move("revoked")
    unused = select(RefreshToken).where(RefreshToken.session_id == begun.session_id, RefreshToken.status == "active")
    for token in await session.scalars(unused.with_for_update()):
        token.move("revoked")
    no_longer_counts(session, begun.session_id, begun.user_id, reason)
    await record(session, "session.revoked", by=by, user_id=begun.user_id, session_id=begun.session_id, reason=reason)


async def _tokens(session: AsyncSession, begun: Session, user: User, vault: Vault) -> SignedIn:
    scope = rules.scope_of(user.grants, begun.facility_id)
    token = secrets.token_urlsafe(32)
    expires_at = rules.refresh_token_expires(begun.began_at, clock.now())
    digest = totp.digest(token)
    session.add(RefreshToken(token_hash=digest, session_id=begun.session_id, status="active", expires_at=expires_at))
    signed = await access_token(session, vault, str(user.user_id), scope.roles, scope.facilities, begun.session_id)
    return SignedIn(signed, token, begun.session_id, user.user_id, scope)


async def access_token(
    session: AsyncSession,
    vault: Vault,
    subject: str,
    roles: Iterable[str],
    facilities: Iterable[UUID] | None,
    session_id: UUID,
) -> str:
    """A token that every service takes until it expires or its session is revoked."""
    return issue_token(
        await signing_key(session, vault),
        subject=subject,
        roles=roles,
        facilities=facilities,
        lifetime=rules.ACCESS_TOKEN_LIFETIME,
        session_id=session_id,
    )


async def _device(session: AsyncSession, user_id: UUID, name: str) -> UUID:
    now = clock.now()
    known = await session.scalar(select(Device).where(Device.user_id == user_id, Device.name == name).with_for_update())
    if known is None:
        known = Device(device_id=uuid4(), user_id=user_id, name=name, first_seen_at=now)
        session.add(known)
    known.last_seen_at = now
    return known.device_id
