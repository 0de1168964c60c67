"""Passwords: argon2id (RFC 9106), with the parameters of OWASP's Password Storage Cheat Sheet."""

from __future__ import annotations

import asyncio
import secrets
import unicodedata
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
"""19 MiB, two rounds, one lane. What was hashed otherwise is hashed anew at the next sign-in."""


async def hashed(password: str) -> str:
    """The hash to keep. Takes tens of milliseconds, beside the event loop."""
    return await asyncio.to_thread(HASHER.hash, _normal(password))


async def is_right(password: str, kept: str | None) -> bool:
    """Whether this is the password behind the hash. Without a hash the same work is done for the answer no."""
    return await asyncio.to_thread(_verified, _normal(password), kept or nobodys_hash()) and kept is not None


def is_outdated(kept: str) -> bool:
    """Whether it was hashed with other parameters than today's."""
    return HASHER.check_needs_rehash(kept)


@cache
def nobodys_hash() -> str:
    """The hash of a password that nobody has."""
    return HASHER.hash(secrets.token_urlsafe())


def _verified(password: str, kept: str) -> bool:
    try:
        return HASHER.verify(kept, password)
    except (VerificationError, InvalidHashError):
        return False


def _normal(password: str) -> str:
    """As NIST SP 800-63B-4 asks: the same characters, however a keyboard composes them."""
    return unicodedata.normalize("NFKC", password)
