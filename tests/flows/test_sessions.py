"""Signing in at auth, and what that is worth at every service, until the session is revoked."""

from __future__ import annotations

import time

import httpx

from broker._tokens import key_id
from services.auth import rules
from tests.flows.hospital import Hospital
from tests.flows.running import Running
from tests.flows.signed_in import AT_ONCE, signed_in
from tests.flows.staff import administers, engaged
from tests.waiting import until


async def test_a_token_counts_everywhere_until_it_is_revoked(
    running: Running, hospital: Hospital, nobody: dict[str, httpx.AsyncClient]
) -> None:
    """Every service takes the token of a sign-in; a second after signing out none does, with auth off and after a restart."""
    nurse, other = [await signed_in(await engaged(hospital, "nurse"), nobody) for _ in range(2)]
    assert await nurse.refused_at() == set()
    began = time.monotonic()
    assert (await nurse.ask("POST", "/logout")).status_code == 204
    await until(nurse.is_refused_everywhere, within=AT_ONCE)
    assert time.monotonic() - began < AT_ONCE
    async with running.down("auth"):
        assert await nurse.refused_at("auth") == set(nobody) - {"auth"}
        assert await other.refused_at("auth") == set()
        async with running.down("lab"):
            pass
        assert "lab" in await nurse.refused_at("auth")
        assert await other.refused_at("auth") == set()
    assert await other.refused_at() == set()


async def test_a_key_changes_while_everybody_works(
    running: Running, hospital: Hospital, nobody: dict[str, httpx.AsyncClient]
) -> None:
    """No token is refused while auth changes its key, nobody restarts, and the old key goes with its last token."""
    before = await signed_in(await engaged(hospital, "nurse"), nobody)
    await administers(hospital, "POST", "/keys/rotation")
    assert await before.refused_at() == set()
    await running.move_clock(rules.KEY_ANNOUNCED_FOR)
    after = await before.refresh()
    assert key_id(after.tokens["access_token"]) != key_id(before.tokens["access_token"])
    assert [await each.refused_at() for each in (before, after)] == [set(), set()]
    await running.move_clock(rules.ACCESS_TOKEN_LIFETIME + rules.CLOCK_SKEW)
    assert await before.is_refused_everywhere()
    assert await after.refused_at() == set()
