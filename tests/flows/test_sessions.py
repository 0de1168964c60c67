"""Signing in at auth, and what that is worth at every service, until the session is revoked."""

from __future__ import annotations

from datetime import timedelta

import httpx

from broker._tokens import key_id
from broker.testing import Flow
from contracts.auth import AuthKeyChanged, SessionRevoked
from services.auth import rules
from tests.flows.hospital import Hospital
from tests.flows.running import SERVICES
from tests.flows.signed_in import EVERYBODY, signed_in
from tests.flows.staff import administers, engaged

AT_ONCE = timedelta(seconds=1)
"""Within this time a revocation counts everywhere."""


async def test_a_token_counts_everywhere_until_it_is_revoked(
    flow: Flow, hospital: Hospital, nobody: dict[str, httpx.AsyncClient]
) -> None:
    """Every service takes the token of a sign-in; a second after signing out none does, with auth off and after a restart."""
    nurse, other = [await signed_in(await engaged(hospital, "nurse"), nobody) for _ in range(2)]
    assert await nurse.refused_at() == set()
    async with flow.started_by(nurse.ask("POST", "/logout")) as f:
        assert f.result.status_code == 204
        revoked = await f.published(SessionRevoked, by="auth").once()
        await f.handled(revoked, by=EVERYBODY)
        assert await nurse.is_refused_everywhere()
        sight = await f.over()
    [began] = [said.at for said in sight.said if said.id == revoked.id]
    assert max(handled.at for handled in sight.handled if handled.id == revoked.id) - began < AT_ONCE
    async with flow.down("auth"):
        assert await nurse.refused_at("auth") == set(nobody) - {"auth"}
        assert await other.refused_at("auth") == set()
        async with flow.down("lab"):
            pass
        assert "lab" in await nurse.refused_at("auth")
        assert await other.refused_at("auth") == set()
    assert await other.refused_at() == set()


async def test_a_key_changes_while_everybody_works(
    flow: Flow, hospital: Hospital, nobody: dict[str, httpx.AsyncClient]
) -> None:
    """No token is refused while auth changes its key, nobody restarts, and the old key goes with its last token."""
    before = await signed_in(await engaged(hospital, "nurse"), nobody)
    async with flow.started_by(administers(hospital, "POST", "/keys/rotation")) as f:
        announced = await f.published(AuthKeyChanged, by="auth").first()
        await f.handled(announced, by=[f"{service.name}.signing_key" for service in SERVICES])
        assert await before.refused_at() == set()
        await flow.advance(seconds=rules.KEY_ANNOUNCED_FOR.total_seconds())
    after = await before.refresh()
    assert key_id(after.tokens["access_token"]) != key_id(before.tokens["access_token"])
    assert [await each.refused_at() for each in (before, after)] == [set(), set()]
    await flow.advance(seconds=(rules.ACCESS_TOKEN_LIFETIME + rules.CLOCK_SKEW).total_seconds())
    assert await before.is_refused_everywhere()
    assert await after.refused_at() == set()
