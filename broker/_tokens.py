"""Bearer tokens: signed statements of who asks, verified by each service alone against public keys.

JSON Web Tokens (RFC 7519) signed with EdDSA on Ed25519 (RFC 8037, under its fully specified name of RFC 9864). Claims: `sub`,
`roles`, `facilities` (ids, or `["*"]` for every one), `exp`, `aud`, `iss`, `jti`, and `sid`, the token's session; a token
for development has none. There may be several keys, told apart by their `kid`, so that a new one is known everywhere before the
first token is signed with it. Which keys count, and which sessions no longer do, is for `_trust.py`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OKPKey
from sqlalchemy import ColumnElement, true

from broker.errors import BackboneError, NotFound

if TYPE_CHECKING:
    from sqlalchemy.orm import InstrumentedAttribute

ISSUER = "nilecare"
AUDIENCE = "nilecare"
ALGORITHM = "Ed25519"
KIND = "at+jwt"
"""The `typ` of an access token (RFC 9068; RFC 8725, 3.11): no other signed statement is taken for one."""

EVERYWHERE = "*"
LEEWAY = 30
"""Seconds that two machines' clocks may differ."""

CLAIMS = jwt.JWTClaimsRegistry(
    leeway=LEEWAY,
    iss={"essential": True, "value": ISSUER},
    aud={"essential": True, "value": AUDIENCE},
    sub={"essential": True},
    exp={"essential": True},
)


class TokenRefused(BackboneError):
    """The token is missing, malformed, expired, or not signed by a key of the key set. Says no more, on purpose."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: a person or a program, its roles, and the facilities it may see (None: every one)."""

    subject: str
    roles: frozenset[str]
    facilities: frozenset[UUID] | None
    session_id: UUID | None = None
    """What the token can be revoked by; None for one that only expires."""

    @property
    def user_id(self) -> UUID | None:
        """The user; None for a program, whose name is no id."""
        try:
            return UUID(self.subject)
        except ValueError:
            return None

    def at(self, facility_id: UUID) -> UUID:
        """Gives `facility_id` back if it may be seen. Raises NotFound if not, as for a thing that does not exist."""
        if self.facilities is not None and facility_id not in self.facilities:
            raise NotFound
        return facility_id

    def within(
        self, facility: ColumnElement[UUID] | InstrumentedAttribute[UUID] | InstrumentedAttribute[UUID | None]
    ) -> ColumnElement[bool]:
        """The condition that keeps a query to what may be seen: `select(Order).where(who.within(Order.facility_id))`."""
        return true() if self.facilities is None else facility.in_(self.facilities)


class Verifier:
    """Tells who a token speaks for. `key_set` is a JSON Web Key Set; an empty text refuses every token."""

    def __init__(self, key_set: str) -> None:
        keys = KeySet.import_key_set(json.loads(key_set)) if key_set else KeySet([])
        self.keys = {key.kid: key for key in keys.keys if isinstance(key, OKPKey) and key.kid is not None}

    def principal(self, token: str) -> Principal:
        """Whom `token` speaks for, if one of the set's keys signed it. Raises TokenRefused."""
        return principal_of(token, self.keys.get(key_id(token)))


def key_id(token: str) -> str:
    """The `kid` that a token names, of which nothing is proven yet. Raises TokenRefused."""
    with refusing():
        return _text(jws.extract_compact(token.encode()).headers().get("kid"))


def principal_of(token: str, key: OKPKey | None) -> Principal:
    """Whom `token` speaks for, if `key` signed it. Raises TokenRefused, also without a key."""
    with refusing():
        if key is None:
            raise ValueError("no such key")
        read = jwt.decode(token, key, algorithms=[ALGORITHM])
        if read.header.get("typ") != KIND:
            raise ValueError("this is no access token")
        CLAIMS.validate(read.claims)
        return _principal(read.claims)


@contextmanager
def refusing() -> Iterator[None]:
    """Whatever is wrong with a token is told in the same way."""
    try:
        yield
    except (JoseError, ValueError, TypeError, AttributeError, RecursionError) as refused:
        raise TokenRefused("the token is not valid") from refused


def _principal(claims: dict[str, Any]) -> Principal:
    facilities = _texts(claims.get("facilities", []))
    return Principal(
        subject=str(claims["sub"]),
        roles=frozenset(_texts(claims.get("roles", []))),
        facilities=None if EVERYWHERE in facilities else frozenset(map(UUID, facilities)),
        session_id=UUID(_text(claims["sid"])) if "sid" in claims else None,
    )


def _text(claim: Any) -> str:
    if not isinstance(claim, str):
        raise ValueError("the claim is not a text")
    return claim


def _texts(claim: Any) -> list[str]:
    if not isinstance(claim, list) or not all(isinstance(item, str) for item in claim):
        raise ValueError("the claim is not a list of texts")
    return claim


def new_key() -> OKPKey:
    """A new signing key. Its `kid` is its thumbprint (RFC 7638)."""
    return OKPKey.generate_key("Ed25519", {"use": "sig", "alg": ALGORITHM}, auto_kid=True)


def key_set_of(*keys: OKPKey) -> str:
    """The public halves of signing keys, as the JSON text that `Settings.key_set` takes."""
    return json.dumps(KeySet(list(keys)).as_dict(private=False))


def issue_token(
    key: OKPKey,
    *,
    subject: str,
    roles: Iterable[str],
    facilities: Iterable[UUID] | None,
    lifetime: timedelta,
    session_id: UUID | None = None,
) -> str:
    """A token signed with `key`; `facilities` None means every one. Without a session it counts until it expires."""
    now = int(time.time())
    session = {} if session_id is None else {"sid": str(session_id)}
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": subject,
        "iat": now,
        "exp": now + int(lifetime.total_seconds()),
        "roles": sorted(roles),
        "facilities": [EVERYWHERE] if facilities is None else sorted(map(str, facilities)),
        "jti": str(uuid4()),
        **session,
    }
    return jwt.encode({"alg": ALGORITHM, "kid": key.kid, "typ": KIND}, claims, key, algorithms=[ALGORITHM])
