"""Signing in at auth, as somebody who works here, and what that is worth at every service."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import httpx

from broker._http import routes_of
from tests.flows.running import SERVICES
from tests.flows.staff import Colleague

EVERYBODY = [f"{service.name}.revoked_session" for service in SERVICES]
"""The queues in which services hear that a session counts no more."""


def something_to_read(name: str) -> str:
    """A route of the service that lists or shows something."""
    [service] = [service for service in SERVICES if service.name == name]
    paths = [route.path for route in routes_of(service) if "GET" in (route.methods or ()) and route.path != "/jwks"]
    return min(paths, key=len).replace("{", "").replace("}", "")


@dataclass
class SignedIn:
    """A session of somebody who works here, and a client of every service."""

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
        return SignedIn(self.clients, reply.json())

    async def refused_at(self, *without: str) -> set[str]:
        """The services that do not take the access token."""
        names = [name for name in self.clients if name not in without]
        headers = {"Authorization": f"Bearer {self.tokens['access_token']}"}
        asked = [self.clients[name].get(something_to_read(name), headers=headers) for name in names]
        return {name for name, reply in zip(names, await asyncio.gather(*asked), strict=True) if reply.status_code == 401}

    async def is_refused_everywhere(self) -> bool:
        return len(await self.refused_at()) == len(self.clients)


async def signed_in(colleague: Colleague, clients: dict[str, httpx.AsyncClient]) -> SignedIn:
    """A session of somebody who works here."""
    return SignedIn(clients, (await colleague.signs_in()).body)
