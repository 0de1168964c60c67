"""The keys that tokens are signed with, and the programs that get tokens by a secret of their own."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from broker import clock
from broker._tokens import key_id
from contracts.auth import AuthKeyChanged
from services.auth import rules
from tests.services.auth.given import HERE, Desk


@pytest.fixture
async def administrator(desk: Desk) -> dict[str, Any]:
    return await desk.signs_in(await desk.person(("administrator", None)))


async def published(desk: Desk) -> set[str]:
    """The keys that anybody may verify with."""
    return {key["kid"] for key in (await desk.client.get("/jwks")).json()["keys"]}


async def test_a_new_key_is_known_before_it_signs(desk: Desk, administrator: dict[str, Any]) -> None:
    """A rotation announces the new key; the old one signs until all have heard, and verifies until its last token expires."""
    old = key_id(administrator["access_token"])
    new = (await desk.asks(administrator, "POST", "/keys/rotation")).json()["kid"]
    assert await published(desk) == {old, new}
    again = await desk.asks(administrator, "POST", "/keys/rotation")
    assert again.json()["type"] == "urn:nilecare:rule:KeyIsAlreadyChanging"
    before = (await desk.refreshes(administrator)).json()
    assert key_id(before["access_token"]) == old
    clock.shift = rules.KEY_ANNOUNCED_FOR
    after = (await desk.refreshes(before)).json()
    assert key_id(after["access_token"]) == new
    assert [await desk.is_refused(each) for each in (before, after)] == [False, False]
    clock.shift += rules.ACCESS_TOKEN_LIFETIME + rules.CLOCK_SKEW
    assert await published(desk) == {new}
    assert [await desk.is_refused(each) for each in (before, after)] == [True, False]


async def test_private_keys_are_sealed(desk: Desk, administrator: dict[str, Any]) -> None:
    """No private key is published or can be read in the database."""
    await desk.asks(administrator, "POST", "/keys/rotation")
    assert all("d" not in json.loads(each.public_key) for each in await desk.at.published(AuthKeyChanged))
    assert all("d" not in key for key in (await desk.client.get("/jwks")).json()["keys"])
    kept = await desk.rows("SELECT sealed_private_key FROM auth_signing_keys")
    assert len(kept) == 2
    assert all(row.sealed_private_key.count(".") == 4 and '"d"' not in row.sealed_private_key for row in kept)


async def test_a_private_key_is_destroyed_when_it_signs_no_more(desk: Desk, administrator: dict[str, Any]) -> None:
    """Without another rotation, as soon as the next one signs by every clock; its last tokens count until they expire."""
    old = key_id(administrator["access_token"])
    new = (await desk.asks(administrator, "POST", "/keys/rotation")).json()["kid"]
    clock.shift = rules.KEY_ANNOUNCED_FOR + rules.CLOCK_SKEW - timedelta(seconds=10)
    before = (await desk.refreshes(administrator)).json()
    await desk.tell_time()
    assert await private(desk) == {old, new}, "a slow clock still signs with it"
    clock.shift = rules.KEY_ANNOUNCED_FOR + rules.CLOCK_SKEW
    await desk.tell_time()
    assert await private(desk) == {new}
    assert await published(desk) == {old, new}
    assert [await desk.is_refused(each) for each in (administrator, before)] == [False, False]
    assert key_id((await desk.refreshes(before)).json()["access_token"]) == new


async def private(desk: Desk) -> set[str]:
    """The keys of which the private half is kept."""
    return {row.kid for row in await desk.rows("SELECT kid FROM auth_signing_keys WHERE sealed_private_key IS NOT NULL")}


async def test_keys_are_announced_again(desk: Desk, administrator: dict[str, Any]) -> None:
    """For a service that is new to the platform."""
    before = await desk.at.published(AuthKeyChanged)
    assert (await desk.asks(administrator, "POST", "/keys/announcement")).status_code == 204
    told = (await desk.at.published(AuthKeyChanged))[len(before) :]
    assert [each.kid for each in told] == [key_id(administrator["access_token"])]


async def test_a_program_gets_tokens(desk: Desk, administrator: dict[str, Any]) -> None:
    """By its secret, which is shown once; until an administrator revokes it, tokens and all."""
    asked = {"name": "lab-analyser", "roles": ["technician"], "facilities": [str(HERE)]}
    client = (await desk.asks(administrator, "POST", "/clients", asked)).json()
    shown = {"grant_type": "client_credentials", "client_id": client["client_id"], "client_secret": client["client_secret"]}
    token = (await desk.client.post("/oauth/token", json=shown)).json()
    assert (token["roles"], token["facilities"], token["expires_in"]) == (["technician"], [str(HERE)], 600)
    assert (await desk.asks(token, "GET", "/users")).status_code == 403, "the token counts; its role is for something else"
    assert (await desk.asks(token, "GET", "/sessions")).json()["items"] == []
    assert (await desk.asks(token, "POST", "/mfa", {"password": "x"})).status_code == 404, "a program has no account"
    assert (await desk.client.post("/oauth/token", json=shown | {"client_secret": "x"})).status_code == 401
    assert client["client_secret"] not in str((await desk.asks(administrator, "GET", "/clients")).json())
    for _ in range(2):
        assert (await desk.asks(administrator, "DELETE", f"/clients/{client['client_id']}")).status_code == 204
    assert (await desk.client.post("/oauth/token", json=shown)).status_code == 401
    assert await desk.is_refused(token)


async def test_a_program_gets_no_role_that_there_is_not(desk: Desk, administrator: dict[str, Any]) -> None:
    """As for people."""
    asked = {"name": "sorcery", "roles": ["sorcerer"], "facilities": None}
    assert (await desk.asks(administrator, "POST", "/clients", asked)).json()["type"] == "urn:nilecare:rule:RoleNotFound"
