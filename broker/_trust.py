"""Whose tokens count: auth's public keys, and sessions that were revoked, as every service with an API keeps them.

Both are replicas in the backbone's own schema, fed by auth's events: a service verifies alone, also while auth is down, and
refuses a session as soon as the revocation has arrived.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

from joserfc.jwk import OKPKey
from sqlalchemy import CursorResult, DateTime, Text, delete, exists, select
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from broker import _tables
from broker._clock import clock
from broker._crash_points import CrashPoint, passing
from broker._loop import Loop
from broker._replicas import Replica
from broker._tokens import Principal, TokenRefused, Verifier, key_id, principal_of
from contracts.auth import AuthKeyChanged, SessionRevoked

FRESH = 1.0
"""Seconds after which the keys are read again: as long as a key that auth withdraws may still be taken for one that counts."""

LOOK_AGAIN = 0.1
"""Seconds between two looks for a key that is not known: tokens with made-up keys cost no more than that."""


class _Backbone(DeclarativeBase):
    """The backbone's tables that are replicas."""

    metadata = _tables.metadata
    type_annotation_map: ClassVar[dict[Any, Any]] = {str: Text, datetime: DateTime(timezone=True)}


class SigningKey(Replica[AuthKeyChanged], _Backbone):
    """A public key of auth's."""

    __tablename__ = "signing_key"

    public_key: Mapped[str]
    expires_at: Mapped[datetime | None]


class RevokedSession(Replica[SessionRevoked], _Backbone):
    """A session of which no token counts."""

    __tablename__ = "revoked_session"

    expires_at: Mapped[datetime] = mapped_column(index=True)


TRUST: tuple[type[Replica[Any]], ...] = (SigningKey, RevokedSession)


@dataclass(frozen=True, slots=True)
class _Known:
    """A key, and until when it counts."""

    key: OKPKey
    expires_at: datetime | None


class Trust:
    """Tells who a token speaks for: by the settings' keys, and by auth's where there is an `engine` of a database with them.

    What auth signed belongs to a session. A key of the settings needs none: it is the operator's own word.
    """

    def __init__(self, key_set: str, engine: AsyncEngine | None) -> None:
        self._own = Verifier(key_set)
        # One statement needs no transaction around it: that would double what a request costs.
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT") if engine is not None else None
        self._known: Mapping[str, _Known] = {}
        self._read_at = -FRESH
        self._reading = asyncio.Lock()

    async def principal(self, token: str) -> Principal:
        """Whom `token` speaks for. Raises TokenRefused."""
        kid = key_id(token)
        if self._engine is None or kid in self._own.keys:
            principal = self._own.principal(token)
        else:
            principal = principal_of(token, await self._key(self._engine, kid))
            if principal.session_id is None:
                raise TokenRefused("the token is not valid")
        if self._engine is not None and principal.session_id is not None:
            await _check_not_revoked(self._engine, principal.session_id)
        return principal

    async def _key(self, engine: AsyncEngine, kid: str) -> OKPKey | None:
        async with self._reading:
            age = time.monotonic() - self._read_at
            if age >= (FRESH if kid in self._known else LOOK_AGAIN):
                self._known = await _keys(engine)
                self._read_at = time.monotonic()
        known = self._known.get(kid)
        if known is None or (known.expires_at is not None and known.expires_at <= clock.now()):
            return None
        return known.key


async def _keys(engine: AsyncEngine) -> Mapping[str, _Known]:
    columns = (SigningKey.id, SigningKey.public_key, SigningKey.expires_at)
    async with engine.connect() as connection:
        rows = await connection.execute(select(*columns).where(~SigningKey.deleted))
        return {kid: _Known(OKPKey.import_key(json.loads(key)), expires_at) for kid, key, expires_at in rows}


async def _check_not_revoked(engine: AsyncEngine, session_id: UUID) -> None:
    """What auth has forgotten (a tombstone) had expired: to refuse it all the same costs nothing and trusts no clock."""
    async with engine.connect() as connection:
        if await connection.scalar(select(exists().where(RevokedSession.id == session_id))):
            raise TokenRefused("the session was revoked")


KEPT = timedelta(days=7)
"""After a session's last token has expired: long enough for auth to forget it first, so that owner and replicas agree."""


class RevokedSessionPurge(Loop):
    """Forgets revoked sessions that are long over, some at a time; by the wall clock, as tokens expire.

    Auth's own tombstones go with them. Where auth has said nothing for so long, its word is not waited for: nothing grows.
    """

    def __init__(self, engine: AsyncEngine, *, interval: float = 600.0, at_once: int = 10_000) -> None:
        super().__init__("revoked session purge", interval=interval)
        self._engine = engine
        self._at_once = at_once

    async def run_once(self) -> bool:
        over = datetime.now(UTC) - KEPT
        old = select(RevokedSession.id).where(RevokedSession.expires_at < over).limit(self._at_once)
        async with self._engine.begin() as connection:
            gone: CursorResult[Any] = await connection.execute(delete(RevokedSession).where(RevokedSession.id.in_(old)))
        if gone.rowcount:
            passing(CrashPoint.HOUSEKEEPING_DONE)
        return gone.rowcount == self._at_once
