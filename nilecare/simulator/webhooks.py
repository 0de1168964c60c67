"""Telling the merchant: signed webhooks."""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import Any

from nilecare.simulator.callbacks import Callbacks


def signed(secret: str, body: bytes, at: int) -> str:
    """The signature header of a body sent at `at`, in unix seconds."""
    signature = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={signature}"


class Webhooks(Callbacks):
    """The provider's events, signed with the secret that it shares with the merchant."""

    def __init__(self, url: str | None, secret: str) -> None:
        super().__init__(url)
        self._secret = secret

    def headers(self, body: bytes) -> dict[str, str]:
        """The signature."""
        return {"Card-Signature": signed(self._secret, body, int(time.time()))}

    def about(self, event: dict[str, Any]) -> str:
        """The merchant's payment."""
        return str(event["data"]["reference"])
