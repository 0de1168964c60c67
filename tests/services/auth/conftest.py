"""Auth at work over a database of its own, at two facilities."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from argon2 import PasswordHasher

from broker import _trust as trust
from services.auth import passwords
from services.auth.app import service
from tests.services.auth.given import ELSEWHERE, HERE, Desk, facility
from tests.services.shared import Workplaces

CHEAP = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
"""What these tests are not about."""


@pytest.fixture
async def desk(workplaces: Workplaces, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    """Nobody has an account yet."""
    monkeypatch.setattr(passwords, "HASHER", CHEAP)
    for pause in ("FRESH", "LOOK_AGAIN"):
        monkeypatch.setattr(trust, pause, 0.0)
    passwords.nobodys_hash.cache_clear()
    async with workplaces.of(service) as at:
        for event in (facility(HERE), facility(ELSEWHERE)):
            await at.deliver(event)
        transport = httpx.ASGITransport(at.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://auth/api/v1") as client:
            yield Desk(at, client)
    passwords.nobodys_hash.cache_clear()
