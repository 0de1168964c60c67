"""Forgetting what no longer counts: once a day, some at a time, until nothing is left."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from sqlalchemy import ColumnElement, CursorResult, delete, exists, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from broker import clock
from services.auth import rules
from services.auth.commands.accounts import erase, forget_addresses
from services.auth.commands.audit import record
from services.auth.commands.keys import destroy_old_keys
from services.auth.commands.plans import plan_clean_up, plan_clean_up_at
from services.auth.tables import (
    Device,
    Invitation,
    LoginAttempt,
    OpenRegistration,
    RefreshToken,
    RevokedSession,
    Session,
    User,
    Verification,
)


async def clean_up(session: AsyncSession) -> None:
    """Forgets what is over, and plans to look again: at once where there was more.

    Of a revoked session every service hears that auth has forgotten it, so that their copies agree.
    """
    now = clock.now()
    await plan_clean_up(session)
    await destroy_old_keys(session)
    is_more = [
        await _delete(session, LoginAttempt.attempt_id, LoginAttempt.attempted_at <= now - rules.FAMILIAR_FOR),
        await _delete(session, OpenRegistration.registration_id, OpenRegistration.asked_at <= now - rules.REGISTRATION_KEPT),
        await _delete(session, Verification.code_hash, Verification.expires_at <= now),
        await _delete(session, Invitation.invitation_id, Invitation.expires_at <= now),
        await _delete(session, RefreshToken.token_hash, RefreshToken.expires_at <= now),
        await _delete(session, Session.session_id, _is_over(now)),
        await _delete(session, Device.device_id, _is_unused(now)),
        await _forget_revocations(session, now),
        await _erase_unproven(session, now),
        await _finish_erasures(session),
    ]
    if any(is_more):
        await plan_clean_up_at(session, now, "the rest of a clean-up")


async def _delete(session: AsyncSession, key: InstrumentedAttribute[Any], is_over: ColumnElement[bool]) -> bool:
    some = select(key).where(is_over).limit(rules.CLEANED_AT_ONCE).with_for_update(skip_locked=True)
    gone = await session.execute(delete(key.class_).where(key.in_(some)).execution_options(synchronize_session=False))
    return cast("CursorResult[Any]", gone).rowcount == rules.CLEANED_AT_ONCE


def _is_over(now: datetime) -> ColumnElement[bool]:
    """A session of which no token is left, and none can be made."""
    has_tokens = exists().where(RefreshToken.session_id == Session.session_id)
    return (Session.last_used_at <= now - rules.REFRESH_TOKEN_LIFETIME) & ~has_tokens


def _is_unused(now: datetime) -> ColumnElement[bool]:
    has_sessions = exists().where(Session.device_id == Device.device_id)
    return (Device.last_seen_at <= now - rules.FAMILIAR_FOR) & ~has_sessions


async def _forget_revocations(session: AsyncSession, now: datetime) -> bool:
    over = select(RevokedSession).where(RevokedSession.expires_at <= now).limit(rules.CLEANED_AT_ONCE)
    gone = (await session.scalars(over)).all()
    for each in gone:
        await session.delete(each)
    await session.flush()
    return len(gone) == rules.CLEANED_AT_ONCE


async def _erase_unproven(session: AsyncSession, now: datetime) -> bool:
    """Accounts that somebody began in the name of an address, whose owner never said that they wanted one."""
    is_open = exists().where(Verification.user_id == User.user_id)
    old = (User.status == "pending") & (User.registered_at <= now - rules.UNPROVEN_KEPT) & ~is_open
    some = select(User).where(old).order_by(User.user_id).limit(rules.CLEANED_AT_ONCE)
    # All of them first, with what is under way to them: an erasure holds the audit log, for which who holds any of it waits.
    unproven = (await session.scalars(some.with_for_update(skip_locked=True))).all()
    await forget_addresses(session, [user.email for user in unproven])
    for user in unproven:
        await erase(session, user.user_id, by="auth")
    return len(unproven) == rules.CLEANED_AT_ONCE


async def _finish_erasures(session: AsyncSession) -> bool:
    """Who was erased when less of a person was counted as personal is forgotten as anybody is who is erased today."""
    some = select(User).where(User.remembered()).order_by(User.user_id).limit(rules.CLEANED_AT_ONCE)
    remembered = (await session.scalars(some.with_for_update(of=User, skip_locked=True))).all()
    for user in remembered:
        user.forget()
        await record(session, "erasure.finished", by="auth", user_id=user.user_id)
    return len(remembered) == rules.CLEANED_AT_ONCE
