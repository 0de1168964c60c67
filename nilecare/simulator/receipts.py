"""Telling the sender of a message what became of it."""

from __future__ import annotations

from typing import Any, Literal

from nilecare.simulator.callbacks import Callbacks


class Receipts(Callbacks):
    """Delivery receipts; `reference` is what the sender called the message."""

    def __init__(self, url: str | None, secret: str) -> None:
        super().__init__(url)
        self._secret = secret

    def headers(self, body: bytes) -> dict[str, str]:
        """The secret that is shared with the sender."""
        return {"Authorization": f"Bearer {self._secret}"}

    def about(self, event: dict[str, Any]) -> str:
        """The message."""
        return str(event["reference"])

    def tell(self, reference: str, status: Literal["delivered", "bounced"], code: str = "") -> None:
        """Starts to tell what became of a message."""
        self.send({"reference": reference, "status": status, "code": code})
