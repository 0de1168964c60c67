"""Signed webhooks in Stripe's scheme: a header `t=<unix seconds>,v1=<hex>` over "<t>.<body>", HMAC-SHA256.

Source: https://docs.stripe.com/webhooks#verify-manually
"""

from __future__ import annotations

import hashlib
import hmac

from services.payment.errors import WebhookIsNotGenuine

TOLERANCE = 300
"""Seconds that a signature may be old, or ahead of our clock."""

LONGEST = 1000
"""Characters of a signature header, at most."""

DIGITS = 12
"""Digits of a timestamp, at most: no moment that our clock could be near has more."""


def check_signature(secret: str, header: str | None, body: bytes, *, now: float) -> None:
    """Returns if `body` was signed with `secret` within the tolerance of `now`, in unix seconds.

    Several `v1` are allowed, as when the provider changes secrets: one must fit. Raises WebhookIsNotGenuine.
    """
    timestamp, signatures = _parts(header)
    if abs(now - timestamp) > TOLERANCE:
        raise WebhookIsNotGenuine
    expected = hmac.new(secret.encode(), str(timestamp).encode() + b"." + body, hashlib.sha256).hexdigest().encode()
    fits = [hmac.compare_digest(expected, signature.encode()) for signature in signatures]
    if not any(fits):
        raise WebhookIsNotGenuine


def _parts(header: str | None) -> tuple[int, list[str]]:
    if not header or len(header) > LONGEST:
        raise WebhookIsNotGenuine
    pairs = [part.strip().partition("=")[::2] for part in header.split(",")]
    times = [value for name, value in pairs if name == "t"]
    if len(times) != 1 or not (times[0].isascii() and times[0].isdigit() and len(times[0]) <= DIGITS):
        raise WebhookIsNotGenuine
    return int(times[0]), [value for name, value in pairs if name == "v1"]
