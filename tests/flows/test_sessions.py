"""Signing in at auth, and what that is worth at every service, until the session is revoked or the user suspended."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from broker._http import routes_of
from broker._tokens import key_id
from nilecare.token import development_token
from services.auth import rules
from tests.flows.hospital import Hospital, Reply
from tests.flows.running import SERVICES, Running
from tests.waiting import until

AT_ONCE = 1.0
"""Seconds within which a revocation counts everywhere."""

PASSWORD = "a password of nobody else"


def something_to_read(name: str) -> str:
    """A route of the service that lists or shows something."""
    [service] = [service for service in SERVICES if service.name == name]
    paths = [route.path for route in routes_of(service) if "GET" in (route.methods or ()) and route.path != "/jwks"]
    return min(paths, key=len).replace("{", "").replace("}", "")


@dataclass
class SignedIn:
    """Somebody who works here, signed in, and a client of every service."""

    running: Running
    clients: dict[str, httpx.AsyncClient]
    tokens: dict[str, Any]

    async def ask(self, method: str, path: str, body: object = None) -> httpx.Response:
        """Asks auth."""
        headers = {"Authorization": f"Bearer {self.tokens['access_token']}"}
        return await self.clients["auth"].request(method, path, json=body, headers=headers)

    async def refresh(self) -> SignedIn:
        """The same session, with new tokens."""
        reply = await self.ask("POST", "/refresh", {"refresh_token": self.tokens["refresh_token"]})
        assert reply.status_code == 200, reply.text
        return SignedIn(self.running, self.clients, reply.json())

    async def refused_at(self, *without: str) -> set[str]:
        """The services that do not take the access token."""
        names = [name for name in self.clients if name not in without]
        headers = {"Authorization": f"Bearer {self.tokens['access_token']}"}
        asked = [self.clients[name].get(something_to_read(name), headers=headers) for name in names]
        return {name for name, reply in zip(names, await asyncio.gather(*asked), strict=True) if reply.status_code == 401}

    async def is_refused_everywhere(self) -> bool:
        return len(await self.refused_at()) == len(self.clients)


@pytest.fixture(scope="module")
async def clients(running: Running) -> AsyncIterator[dict[str, httpx.AsyncClient]]:
    """One of each service, without a token."""
    clients = {name: httpx.AsyncClient(base_url=running.address(name), timeout=30) for name in running.runtimes}
    yield clients
    for client in clients.values():
        await client.aclose()


async def a_nurse(running: Running, hospital: Hospital, clients: dict[str, httpx.AsyncClient]) -> SignedIn:
    """Somebody registers, proves the address by the code that was sent there, is made a nurse here, and signs in."""
    name, email = hospital.secret("Hanan Bakri "), hospital.secret("hanan") + "@example.org"
    asked = {"email": email, "password": PASSWORD, "full_name": name}
    assert (await clients["auth"].post("/register", json=asked)).status_code == 202
    await running.settled()
    user_id = (await clients["auth"].post("/verify", json={"code": sent_to(running)})).json()["user_id"]
    granted = {"role": "nurse", "facility_id": hospital.id}
    await administrator(hospital, "POST", f"/users/{user_id}/roles", granted)
    reply = await clients["auth"].post("/login", json={"email": email, "password": PASSWORD})
    assert reply.status_code == 200, reply.text
    await running.settled()
    return SignedIn(running, clients, reply.json())


def sent_to(running: Running) -> str:
    """The code that was sent last."""
    spoken = [each for each in running.overheard.messages.values() if each.routing_key == "auth.verification.requested"]
    latest = max(spoken, key=lambda message: str(message.header.properties.message_id))
    code: str = json.loads(latest.body)["code"]
    running.personal.add(code)
    return code


async def administrator(hospital: Hospital, method: str, path: str, body: object = None) -> Reply:
    """Asks auth as somebody whose role counts everywhere."""
    token = development_token(["administrator"], file=hospital.running.key_file)
    return await hospital.ask("auth", method, path, body, headers={"Authorization": f"Bearer {token}"})


async def test_a_token_counts_everywhere_until_it_is_revoked(
    running: Running, hospital: Hospital, clients: dict[str, httpx.AsyncClient]
) -> None:
    """Every service takes the token of a sign-in; a second after signing out none does, with auth off and after a restart."""
    nurse, other = await a_nurse(running, hospital, clients), await a_nurse(running, hospital, clients)
    assert await nurse.refused_at() == set()
    began = time.monotonic()
    assert (await nurse.ask("POST", "/logout")).status_code == 204
    await until(nurse.is_refused_everywhere, within=AT_ONCE)
    assert time.monotonic() - began < AT_ONCE
    async with running.down("auth"):
        assert await nurse.refused_at("auth") == set(clients) - {"auth"}
        assert await other.refused_at("auth") == set()
        async with running.down("lab"):
            pass
        assert "lab" in await nurse.refused_at("auth")
        assert await other.refused_at("auth") == set()
    assert await other.refused_at() == set()


async def test_a_suspended_user_works_nowhere(
    running: Running, hospital: Hospital, clients: dict[str, httpx.AsyncClient]
) -> None:
    """Whoever is suspended is refused by every service within a second, with each of their sessions."""
    nurse = await a_nurse(running, hospital, clients)
    assert await nurse.refused_at() == set()
    await administrator(hospital, "POST", f"/users/{nurse.tokens['user_id']}/suspension")
    await until(nurse.is_refused_everywhere, within=AT_ONCE)
    refused = await nurse.ask("POST", "/refresh", {"refresh_token": nurse.tokens["refresh_token"]})
    running.problems.append(refused.text)
    assert refused.status_code == 401


async def test_a_key_changes_while_everybody_works(
    running: Running, hospital: Hospital, clients: dict[str, httpx.AsyncClient]
) -> None:
    """No token is refused while auth changes its key, nobody restarts, and the old key goes with its last token."""
    before = await a_nurse(running, hospital, clients)
    await administrator(hospital, "POST", "/keys/rotation")
    assert await before.refused_at() == set()
    await running.move_clock(rules.KEY_ANNOUNCED_FOR)
    after = await before.refresh()
    assert key_id(after.tokens["access_token"]) != key_id(before.tokens["access_token"])
    assert [await each.refused_at() for each in (before, after)] == [set(), set()]
    await running.move_clock(rules.ACCESS_TOKEN_LIFETIME + rules.CLOCK_SKEW)
    assert await before.is_refused_everywhere()
    assert await after.refused_at() == set()
