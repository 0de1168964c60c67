"""The keys that tokens are signed with."""

from __future__ import annotations

import json
from collections.abc import Sequence

from joserfc.jwk import OKPKey
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock, new_key, touch
from services.auth import rules
from services.auth.commands.audit import record
from services.auth.commands.plans import plan_clean_up_at
from services.auth.errors import KeyIsAlreadyChanging
from services.auth.tables import SigningKey
from services.auth.vault import Vault

ALONE = text("SELECT pg_advisory_xact_lock(hashtextextended('auth signing key', 0))")


async def signing_key(session: AsyncSession, vault: Vault) -> OKPKey:
    """The key to sign with now; the first one is made when it is asked for."""
    row = await _signing(session)
    if row is None:
        await session.execute(ALONE)
        row = await _signing(session) or _made(session, vault)
    return OKPKey.import_key(json.loads(vault.open(row.sealed_private_key or "")))


async def rotate_key(session: AsyncSession, vault: Vault, *, by: object) -> SigningKey:
    """Announces a new key, which signs when every service has had time to hear of it.

    The old one signs until then; of its private half nothing is left soon after, and its public one verifies the last tokens.
    Raises KeyIsAlreadyChanging.
    """
    await session.execute(ALONE)
    now = clock.now()
    before = (await session.scalars(select(SigningKey).where(SigningKey.expires_at.is_(None)))).all()
    if any(key.signs_from > now for key in before):
        raise KeyIsAlreadyChanging
    made = _made(session, vault)
    if before:
        made.signs_from = now + rules.KEY_ANNOUNCED_FOR
    for key in before:
        key.expires_at = made.signs_from + rules.ACCESS_TOKEN_LIFETIME + rules.CLOCK_SKEW
    await plan_clean_up_at(session, made.signs_from + rules.CLOCK_SKEW, "the end of a signing key")
    await record(session, "key.rotated", by=by, kid=made.kid)
    return made


async def destroy_old_keys(session: AsyncSession) -> None:
    """Destroys the private halves of keys that sign no more."""
    await session.execute(ALONE)
    kept = (await session.scalars(select(SigningKey).where(SigningKey.sealed_private_key.is_not(None)))).all()
    for key in kept:
        if rules.signs_no_more(key.signs_from, [other.signs_from for other in kept], clock.now()):
            key.sealed_private_key = None


async def announce_keys(session: AsyncSession) -> None:
    """Says again which keys count: for a service that was not there when they were announced."""
    for key in await public_keys(session):
        touch(key)


async def public_keys(session: AsyncSession) -> Sequence[SigningKey]:
    """The keys that tokens may be verified with, the oldest first."""
    count = SigningKey.expires_at.is_(None) | (SigningKey.expires_at > clock.now())
    return (await session.scalars(select(SigningKey).where(count).order_by(SigningKey.signs_from))).all()


async def _signing(session: AsyncSession) -> SigningKey | None:
    ready = select(SigningKey).where(SigningKey.signs_from <= clock.now(), SigningKey.sealed_private_key.is_not(None))
    return (await session.scalars(ready.order_by(SigningKey.signs_from.desc()).limit(1))).one_or_none()


def _made(session: AsyncSession, vault: Vault) -> SigningKey:
    key = new_key()
    made = SigningKey(
        kid=key.kid,
        public_key=json.dumps(key.as_dict(private=False)),
        sealed_private_key=vault.seal(json.dumps(key.as_dict(private=True))),
        signs_from=clock.now(),
        expires_at=None,
    )
    session.add(made)
    return made
