"""People at their desks: each signs in with auth and asks the services over HTTP, again when one of them is down."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID, uuid4

import httpx

from broker._context import uuid7

PATIENCE = 60.0
"""Seconds after which a service that does not answer as it should is a failure of the demo."""

PAUSE = 0.1
"""Seconds between two tries, at first; each further one waits longer, up to a second."""

NOT_YET = "urn:nilecare:not-yet"
"""What a service says that has not heard yet of what it is asked about."""

T = TypeVar("T")
CLOSED = {
    "billing": "/invoices",
    "clinical": "/patients",
    "ehr": "/notes/awaiting-cosignature",
    "facility": "/facilities",
    "lab": "/lab-orders",
    "notification": "/templates",
    "payment": "/payments",
}
"""Something of each service that is answered to nobody whose token does not count."""

AGAIN = frozenset({httpx.codes.BAD_GATEWAY, httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.GATEWAY_TIMEOUT})


class Refused(Exception):
    """A service refused what the day asks of it; the message names the request and the problem."""

    def __init__(self, request: str, problem: Mapping[str, Any]) -> None:
        super().__init__(f"{request}: {problem.get('status')} {problem.get('type')} {problem.get('detail', '')}")
        self.type = str(problem.get("type", "")).removeprefix("urn:nilecare:rule:")


@dataclass
class House:
    """Where the services listen, and all that was said there that a person could read."""

    urls: Mapping[str, str]
    client: httpx.AsyncClient
    asked: Counter[str] = field(default_factory=Counter)
    """Requests that succeeded, by service."""
    problems: list[str] = field(default_factory=list)
    """Every problem document, as it came."""
    waited: Counter[str] = field(default_factory=Counter)
    """How often a service could not answer yet, by service."""

    async def send(self, service: str, method: str, path: str, **more: Any) -> httpx.Response | None:
        """One request; None when nobody answers, or somebody who says to come back later."""
        try:
            response = await self.client.request(method, f"{self.urls[service]}/api/v1{path}", **more)
        except (httpx.NetworkError, httpx.TimeoutException, httpx.RemoteProtocolError):
            return None
        if response.is_error:
            self.problems.append(response.text)
        return None if response.status_code in AGAIN or _is_not_yet(response) else response


@dataclass
class Colleague:
    """Somebody of the staff, at one facility."""

    house: House
    email: str
    password: str
    role: str
    user_id: str = ""
    _token: str = ""
    _refresh: str = ""

    async def sign_in(self, *, flow: UUID | None = None) -> None:
        """With the password; in a flow of its own when none is given."""
        asked = {"email": self.email, "password": self.password}
        self._took(await _answer(self.house, "auth", "POST", "/login", asked, flow=flow))

    async def ask(
        self, service: str, method: str, path: str, body: object = None, *, flow: UUID | None = None, **query: Any
    ) -> Any:
        """What a service answers, as soon as it does: a command that is sent again is carried out once.

        flow: what the request belongs to, a flow of its own when not given. Raises Refused, TimeoutError.
        """
        headers = {"X-Correlation-ID": str(flow or uuid7()), "Idempotency-Key": str(uuid4())}
        reply = await self._send(service, method, path, body, headers, query)
        if reply.status_code == httpx.codes.UNAUTHORIZED:
            await self._renew()
            reply = await self._send(service, method, path, body, headers, query)
        return _read(reply, f"{method} {path}")

    async def list(self, service: str, path: str, **query: Any) -> list[Any]:
        """The first page of a list."""
        found: list[Any] = (await self.ask(service, "GET", path, limit=200, **query))["items"]
        return found

    async def is_refused(self, service: str) -> bool:
        """Whether this token no longer counts there."""
        response = await self.house.send(service, "GET", CLOSED[service], headers={"Authorization": f"Bearer {self._token}"})
        return response is not None and response.status_code == httpx.codes.UNAUTHORIZED

    async def _send(
        self, service: str, method: str, path: str, body: object, headers: Mapping[str, str], query: Mapping[str, Any]
    ) -> httpx.Response:
        signed = {**headers, **({"Authorization": f"Bearer {self._token}"} if self._token else {})}
        given: dict[str, Any] = {"headers": signed, "params": query} | ({} if body is None else {"json": body})
        return await _patiently(self.house, service, method, path, given)

    async def _renew(self) -> None:
        self._took(await _answer(self.house, "auth", "POST", "/refresh", {"refresh_token": self._refresh}))

    def _took(self, signed: Mapping[str, str]) -> None:
        self._token, self._refresh, self.user_id = signed["access_token"], signed["refresh_token"], signed["user_id"]


async def _answer(house: House, service: str, method: str, path: str, body: object, *, flow: UUID | None = None) -> Any:
    """What anybody is answered, without a token."""
    given = {"json": body, "headers": {"X-Correlation-ID": str(flow or uuid7())}}
    return _read(await _patiently(house, service, method, path, given), f"{method} {path}")


async def _patiently(house: House, service: str, method: str, path: str, given: Mapping[str, Any]) -> httpx.Response:
    deadline, pause = time.monotonic() + PATIENCE, PAUSE
    while (response := await house.send(service, method, path, **given)) is None:
        house.waited[service] += 1
        if time.monotonic() > deadline:
            raise TimeoutError(f"{service} has not answered {method} {path} for {PATIENCE:.0f} seconds")
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, 1.0)
    house.asked[service] += response.is_success
    return response


def _read(response: httpx.Response, request: str) -> Any:
    if response.is_error:
        raise Refused(request, response.json())
    return response.json() if response.content else None


def _is_not_yet(response: httpx.Response) -> bool:
    return response.status_code == httpx.codes.CONFLICT and NOT_YET in response.text


async def until(what: str, look: Callable[[], Awaitable[T | None]]) -> T:
    """What `look` finds, as soon as it does. Raises TimeoutError."""
    deadline, pause = time.monotonic() + PATIENCE, PAUSE
    while (found := await look()) is None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} has not come for {PATIENCE:.0f} seconds")
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, 1.0)
    return found
