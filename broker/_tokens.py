"""Bearer tokens: signed statements of who asks, verified by each service alone against public keys from its settings.

JSON Web Tokens (RFC 7519) signed with EdDSA on Ed25519 (RFC 8037, under its fully specified name of RFC 9864). Claims: `sub`,
`roles`, `facilities` (ids, or `["*"]` for every one), `exp`, `aud` and `iss`. The key set may hold several keys, told apart by
their `kid`, so that a new key is known everywhere before the first token is signed with it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OKPKey
from sqlalchemy import ColumnElement, true

from broker.errors import BackboneError, NotFound

if TYPE_CHECKING:
    from sqlalchemy.orm import InstrumentedAttribute

ISSUER = "nilecare"
AUDIENCE = "nilecare"
ALGORITHM = "Ed25519"
EVERYWHERE = "*"
LEEWAY = 30
"""Seconds that two machines' clocks may differ."""


class TokenRefused(BackboneError):
    """The token is missing, malformed, expired, or not signed by a key of the key set. Says no more, on purpose."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: a person or a program, its roles, and the facilities it may see (None: every one)."""

    subject: str
    roles: frozenset[str]
    facilities: frozenset[UUID] | None

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

    def within(self, facility: ColumnElement[UUID] | InstrumentedAttribute[UUID]) -> ColumnElement[bool]:
        """The condition that keeps a query to what may be seen: `select(Order).where(who.within(Order.facility_id))`."""
        return true() if self.facilities is None else facility.in_(self.facilities)


class Verifier:
    """Tells who a token speaks for. `key_set` is a JSON Web Key Set; an empty text refuses every token."""

    def __init__(self, key_set: str) -> None:
        self._keys = KeySet.import_key_set(json.loads(key_set)) if key_set else KeySet([])
        self._claims = jwt.JWTClaimsRegistry(
            leeway=LEEWAY,
            iss={"essential": True, "value": ISSUER},
            aud={"essential": True, "value": AUDIENCE},
            sub={"essential": True},
            exp={"essential": True},
        )

    def principal(self, token: str) -> Principal:
        """Whom `token` speaks for. Raises TokenRefused."""
        try:
            read = jwt.decode(token, lambda asked: self._key(asked.headers().get("kid")), algorithms=[ALGORITHM])
            self._claims.validate(read.claims)
            return _principal(read.claims)
        except (JoseError, ValueError, TypeError, AttributeError, RecursionError) as refused:
            raise TokenRefused("the token is not valid") from refused

    def _key(self, kid: Any) -> OKPKey:
        for key in self._keys.keys:
            if isinstance(key, OKPKey) and key.kid == kid:
                return key
        raise ValueError("no such key")


def _principal(claims: dict[str, Any]) -> Principal:
    facilities = _texts(claims.get("facilities", []))
    return Principal(
        subject=str(claims["sub"]),
        roles=frozenset(_texts(claims.get("roles", []))),
        facilities=None if EVERYWHERE in facilities else frozenset(map(UUID, facilities)),
    )


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
    key: OKPKey, *, subject: str, roles: Iterable[str], facilities: Iterable[UUID] | None, lifetime: timedelta
) -> str:
    """A token signed with `key`; `facilities` None means every one."""
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": subject,
        "iat": now,
        "exp": now + int(lifetime.total_seconds()),
        "roles": sorted(roles),
        "facilities": [EVERYWHERE] if facilities is None else sorted(map(str, facilities)),
    }
    return jwt.encode({"alg": ALGORITHM, "kid": key.kid}, claims, key, algorithms=[ALGORITHM])
