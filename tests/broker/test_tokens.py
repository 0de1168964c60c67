"""Tokens: only what one of the known keys signed, for us, and not too long ago, speaks for anybody."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from broker import NotFound
from broker._tokens import ALGORITHM, KIND, Principal, TokenRefused, Verifier, issue_token, key_set_of, new_key

KEY, NEXT_KEY = new_key(), new_key()
HERE = uuid4()
GOOD: dict[str, Any] = {
    "iss": "nilecare",
    "aud": "nilecare",
    "sub": "n1",
    "exp": int(time.time()) + 24 * 60 * 60,
    "roles": ["nurse"],
    "facilities": [str(HERE)],
}


def signed(header: dict[str, Any] | None = None, **claims: Any) -> str:
    present = {name: value for name, value in (GOOD | claims).items() if value is not None}
    return jwt.encode({"alg": ALGORITHM, "kid": KEY.kid, "typ": KIND} | (header or {}), present, KEY, algorithms=[ALGORITHM])


def test_what_was_issued_is_read() -> None:
    """A token says whom it speaks for, as it was issued."""
    verifier = Verifier(key_set_of(KEY, NEXT_KEY))
    for key in (KEY, NEXT_KEY):
        token = issue_token(key, subject="n1", roles=["b", "a"], facilities=[HERE], lifetime=timedelta(minutes=1))
        assert verifier.principal(token) == Principal("n1", frozenset({"a", "b"}), frozenset({HERE}))
    everywhere = issue_token(KEY, subject="n1", roles=[], facilities=None, lifetime=timedelta(minutes=1))
    assert verifier.principal(everywhere).facilities is None


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a.b.c",
        "e30." * 400_000,
        signed(iss="somebody"),
        signed(aud="another"),
        signed(aud=None),
        signed(sub=None),
        signed(exp=None),
        signed(exp=int(time.time()) - 60),
        signed(exp="tomorrow"),
        signed(roles="nurse"),
        signed(roles=[1]),
        signed(facilities=["here"]),
        signed(facilities={"*": 1}),
        signed({"kid": NEXT_KEY.kid}),
        signed({"kid": "unknown"}),
        signed({"typ": "JWT"}),
        signed(sid="mine"),
        signed(sid=[str(HERE)]),
        signed()[:-4] + "AAAA",
        jwt.encode({"alg": "HS256", "kid": KEY.kid}, GOOD, OctKey.import_key(json.dumps(KEY.as_dict(private=False)).encode())),
    ],
)
def test_anything_else_is_refused(token: str) -> None:
    """A token that is foreign, malformed, expired, forged or signed in another way is refused, always in the same way."""
    with pytest.raises(TokenRefused, match=r"^the token is not valid$"):
        Verifier(key_set_of(KEY, NEXT_KEY)).principal(token)


def test_the_session_that_a_token_belongs_to() -> None:
    """A token names its session, if it has one; no two tokens have the same id."""
    session_id = uuid4()
    minute = timedelta(minutes=1)
    tokens = [
        issue_token(KEY, subject="n1", roles=[], facilities=[], lifetime=minute, session_id=each) for each in (session_id, None)
    ]
    assert [Verifier(key_set_of(KEY)).principal(each).session_id for each in tokens] == [session_id, None]
    first, second = (jwt.decode(each, KEY, algorithms=[ALGORITHM]).claims["jti"] for each in tokens)
    assert first != second


def test_a_key_that_is_withdrawn() -> None:
    """When a key leaves the key set its tokens are refused."""
    assert Verifier(key_set_of(KEY)).principal(signed()).subject == "n1"
    with pytest.raises(TokenRefused):
        Verifier(key_set_of(NEXT_KEY)).principal(signed())


def test_the_key_set_is_public() -> None:
    """The key set that services get holds no private key."""
    assert all("d" not in key for key in json.loads(key_set_of(KEY))["keys"])


def test_facilities() -> None:
    """A principal is at its own facilities, and at every one if it is so entitled."""
    elsewhere = uuid4()
    bound, free = Principal("n", frozenset(), frozenset({HERE})), Principal("n", frozenset(), None)
    assert bound.at(HERE) == HERE
    assert free.at(elsewhere) == elsewhere
    with pytest.raises(NotFound):
        bound.at(elsewhere)
    with pytest.raises(NotFound):
        Principal("n", frozenset(), frozenset()).at(UUID(int=0))
