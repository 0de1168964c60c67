"""A desk that the `nilecare` command works on."""

from __future__ import annotations

import pytest

from nilecare.dead_letters import selection
from tests.broker.failing import Desk


def give_to_commands(desk: Desk, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the desk, on its database at `url`, the one service that the `nilecare` command knows, as somebody of its own."""
    monkeypatch.setattr(selection, "services", lambda: [desk.service])
    monkeypatch.delenv("NILECARE_SECRET", raising=False)
    monkeypatch.setenv("NILECARE_DATABASE_URL", url)
    monkeypatch.setenv("NILECARE_AMQP_URL", "amqp://nobody@127.0.0.1:1/")
    monkeypatch.setenv("NILECARE_OPERATOR", "amani")
