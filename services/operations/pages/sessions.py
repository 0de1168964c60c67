"""Who is signed in: by a cookie that says nothing, and tokens of auth's that only this cookie opens.

The browser holds a random secret. The database holds its hash, and the tokens, sealed with a key that follows from the
secret: neither of the two is of any use without the other. A token is looked at on every request: a revoked session ends
here as it does everywhere.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import ssl
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Annotated, Any, cast
from urllib.parse import urlsplit

import httpx
from fastapi import HTTPException, Request
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from broker import Principal, clock, token_of, verified_by
from services.operations import rules
from services.operations.tables import PageSession

COOKIE = "operations"
SEAL = {"alg": "dir", "enc": "A256GCM"}
EARLY = timedelta(seconds=30)
"""How long before it expires a token is exchanged."""

PATIENCE = 10.0
"""Seconds that auth has for an answer, and its key to arrive."""

LOOK = 0.1
"""Seconds between two looks whether it has."""


class AuthIsAway(Exception):
    """Auth cannot be asked now."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """What auth gave."""

    access: str
    refresh: str
    expires_at: datetime

    @classmethod
    def of(cls, told: dict[str, Any]) -> Tokens:
        """As auth's reply says."""
        return cls(told["access_token"], told["refresh_token"], clock.now() + timedelta(seconds=told["expires_in"]))

    def sealed(self, secret: str) -> str:
        """For whoever has the secret alone."""
        said = {"access": self.access, "refresh": self.refresh, "expires_at": self.expires_at.isoformat()}
        return jwe.encrypt_compact(SEAL, json.dumps(said).encode(), _key(secret))

    @classmethod
    def opened(cls, sealed: str, secret: str) -> Tokens:
        """What was sealed. Raises JoseError."""
        said = json.loads(jwe.decrypt_compact(sealed, _key(secret)).plaintext or b"")
        return cls(said["access"], said["refresh"], datetime.fromisoformat(said["expires_at"]))


async def begin(session: AsyncSession, tokens: Tokens) -> str:
    """Opens a session; gives the secret for the cookie."""
    await session.execute(delete(PageSession).where(PageSession.expires_at < clock.now()))
    secret = secrets.token_urlsafe(32)
    expires_at = clock.now() + rules.SIGNED_IN_FOR
    session.add(PageSession(session_id=_name(secret), sealed=tokens.sealed(secret), expires_at=expires_at))
    return secret


async def end(session: AsyncSession, secret: str) -> Tokens | None:
    """Closes a session; gives the tokens, so that auth can be told."""
    row = await session.get(PageSession, _name(secret), with_for_update=True)
    if row is None:
        return None
    await session.delete(row)
    try:
        return Tokens.opened(row.sealed, secret)
    except JoseError:
        return None


async def signed_in(request: Request) -> Principal:
    """Whoever asks, by their cookie; nobody else passes. Exchanges a token that is about to expire."""
    check_own_form(request)
    secret = request.cookies.get(COOKIE)
    if secret is None:
        raise _sign_in()
    database = request.app.state.database
    async with database.transaction() as session:
        # The row is locked while auth is asked: a refresh token is good once, whoever asks beside us waits for the new one.
        row = await session.get(PageSession, _name(secret), with_for_update=True)
        if row is None or row.expires_at < clock.now():
            raise _sign_in()
        tokens = Tokens.opened(row.sealed, secret)
        if tokens.expires_at < clock.now() + EARLY:
            told = await ask_auth(request, "/refresh", {"refresh_token": tokens.refresh})
            if told is None:
                await session.delete(row)
                await session.commit()
                raise _sign_in()
            tokens = Tokens.of(told)
            row.sealed = tokens.sealed(secret)
    return await principal_of(request, tokens)


async def principal_of(request: Request, tokens: Tokens) -> Principal:
    """Whom tokens speak for, if they may be here. Raises a redirection to sign in, or 403."""
    who = await token_of(request, tokens.access)
    if who is None:
        raise _sign_in()
    if not who.roles & rules.HERE or who.facilities is not None:
        raise HTTPException(403, f"This needs one of the roles {', '.join(sorted(rules.HERE))}, at every facility.")
    return who


async def is_known(request: Request, tokens: Tokens) -> bool:
    """Whether tokens that auth has just given count here: a new key of its may be on its way."""
    until = time.monotonic() + PATIENCE
    while await token_of(request, tokens.access) is None:
        if time.monotonic() > until:
            return False
        await asyncio.sleep(LOOK)
    return True


async def ask_auth(request: Request, path: str, said: dict[str, Any], token: str | None = None) -> dict[str, Any] | None:
    """Auth's answer; None where it refuses. Raises AuthIsAway."""
    address = cast("str", request.app.state.outside.get("auth", ""))
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        async with httpx.AsyncClient(timeout=PATIENCE, verify=_authorities()) as client:
            reply = await client.post(f"{address}/api/v1{path}", json=said, headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL) as failure:
        raise AuthIsAway from failure
    if reply.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
        raise AuthIsAway
    if not reply.is_success:
        return None
    return cast("dict[str, Any]", reply.json()) if reply.content else {}


def check_own_form(request: Request) -> None:
    """Refuses what another site's page sends. Raises 403."""
    if request.method in ("GET", "HEAD"):
        return
    origin = request.headers.get("origin")
    if origin is None or urlsplit(origin).netloc != request.headers.get("host"):
        raise HTTPException(403, "A form of these pages is needed.")


@cache
def _authorities() -> ssl.SSLContext:
    """Read once: it takes longer than most requests."""
    return httpx.create_ssl_context()


def _sign_in() -> HTTPException:
    return HTTPException(303, "Sign in.", headers={"Location": "/sign-in"})


def _name(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _key(secret: str) -> OctKey:
    return OctKey.import_key(hashlib.sha256(b"tokens of " + secret.encode()).digest())


Visitor = Annotated[Principal, verified_by(signed_in)]
"""Whoever is signed in."""
