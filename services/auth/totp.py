"""Codes of authenticator apps (RFC 6238) and codes for when the app is lost."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import datetime

import pyotp

ISSUER = "NileCare"
STEP = 30
"""Seconds that a code is shown for."""

STEPS_ASIDE = 1
"""How many steps a phone's clock may be off, either way."""

new_secret = pyotp.random_base32


def address(secret: str, account: str) -> str:
    """The otpauth:// address that the app reads from a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=account, issuer_name=ISSUER)


def step_of(code: str, secret: str, now: datetime, *, after: int) -> int | None:
    """The time step that `code` belongs to, if it is right and later than `after`: a code is good once (RFC 6238, 5.2)."""
    present, app = int(now.timestamp()) // STEP, pyotp.TOTP(secret, interval=STEP)
    for step in range(max(present - STEPS_ASIDE, after + 1), present + STEPS_ASIDE + 1):
        if hmac.compare_digest(app.at(step * STEP).encode(), code.encode()):
            return step
    return None


def new_code() -> str:
    """A code that nobody guesses: 120 bits."""
    return secrets.token_hex(15)


def digest(code: str) -> bytes:
    """What is kept of a code that nobody guesses."""
    return hashlib.sha256(code.encode()).digest()
