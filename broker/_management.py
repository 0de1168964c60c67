"""RabbitMQ's management API, for one virtual host: the way in which topology and accounts are read and changed."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, unquote, urlsplit

import httpx

from broker._tls import authorities
from broker.errors import BackboneError

TIMEOUT = 15.0
"""Seconds for one request; declaring a quorum queue elects a leader, which a busy cluster takes its time for."""

IMPORT_TIMEOUT = 120.0
"""Seconds for a request that declares hundreds of queues."""

AT_ONCE = 8
"""Requests under way at once, at most."""


class ManagementError(BackboneError):
    """RabbitMQ's management API cannot be reached or refused a request; the message says which and why."""


class Management:
    """A virtual host seen through the management API. Every change can be repeated, and made by two at once.

    url: http://user:password@host:port, with an account whose tag allows what is asked.
    vhost: the virtual host's name.
    """

    def __init__(self, url: str, vhost: str) -> None:
        parts = urlsplit(url)
        self.vhost = vhost
        self._server = parts.netloc.rpartition("@")[2]
        self._client = httpx.AsyncClient(
            base_url=f"{parts.scheme}://{self._server}{parts.path.rstrip('/')}/api/",
            auth=(unquote(parts.username or "guest"), unquote(parts.password or "guest")),
            timeout=TIMEOUT,
            verify=authorities(),
            limits=httpx.Limits(max_connections=AT_ONCE),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes its connections."""
        await self._client.aclose()

    async def all_of(self, kind: str) -> list[dict[str, Any]]:
        """All of the virtual host's `exchanges`, `queues`, `bindings` or `policies`."""
        return list(await self._json("GET", kind, self.vhost))

    async def permissions(self) -> list[dict[str, Any]]:
        """Who may do what in the virtual host."""
        return list(await self._json("GET", "vhosts", self.vhost, "permissions"))

    async def accounts(self) -> set[str]:
        """The names of all accounts on the server."""
        return {user["name"] for user in await self._json("GET", "users")}

    async def put(self, kind: str, name: str, declaration: dict[str, Any]) -> None:
        """Declares one of `exchanges`, `queues`, `policies` or `permissions`; says nothing when it is there already."""
        await self._ask("PUT", kind, self.vhost, name, json=declaration)

    async def import_definitions(self, definitions: dict[str, Any]) -> None:
        """Adds what a definitions file for one virtual host lists: exchanges, then policies, queues and bindings.

        What is there already stays as it is, but a policy is changed. A queue that RabbitMQ refuses is left out without a word,
        and so are its bindings.
        """
        await self._ask("POST", "definitions", self.vhost, json=definitions, timeout=IMPORT_TIMEOUT)

    async def delete(self, kind: str, name: str) -> None:
        """Removes one; says nothing when it is gone already."""
        await self._ask("DELETE", kind, self.vhost, name, may_be_absent=True)

    async def delete_unused_exchange(self, name: str) -> bool:
        """Removes an exchange unless something is bound to it; gives whether it is gone."""
        response = await self._request("DELETE", "exchanges", self.vhost, name, params={"if-unused": "true"})
        return response.is_success or response.status_code == httpx.codes.NOT_FOUND

    async def bind(self, exchange: str, queue: str, routing_key: str) -> None:
        """Binds a queue to an exchange."""
        body = {"routing_key": routing_key, "arguments": {}}
        await self._ask("POST", "bindings", self.vhost, "e", exchange, "q", queue, json=body)

    async def unbind(self, exchange: str, kind: str, destination: str, properties_key: str) -> None:
        """Removes a binding; `kind` is "q" to a queue and "e" to an exchange, `properties_key` as `all_of` gave it."""
        path = ("bindings", self.vhost, "e", exchange, kind, destination, properties_key)
        await self._ask("DELETE", *path, may_be_absent=True)

    async def create_vhost(self) -> None:
        """Creates the virtual host; says nothing when it is there already."""
        await self._ask("PUT", "vhosts", self.vhost)

    async def create_account(self, name: str, password: str, *, tags: str = "") -> None:
        """Creates an account or gives it this password and these tags (comma-separated)."""
        await self._ask("PUT", "users", name, json={"password": password, "tags": tags})

    async def _json(self, method: str, *path: str) -> Any:
        response = await self._ask(method, *path)
        return response.json()

    async def _ask(self, method: str, *path: str, may_be_absent: bool = False, **rest: Any) -> httpx.Response:
        response = await self._request(method, *path, **rest)
        if method == "PUT" and not response.is_success and "already_exists" in response.text:
            # Somebody else created it between the broker's own look and its insert: now it is an update.
            response = await self._request(method, *path, **rest)
        if response.is_success or (may_be_absent and response.status_code == httpx.codes.NOT_FOUND):
            return response
        raise ManagementError(f"RabbitMQ refused {method} {'/'.join(path)}: {_reason(response)}")

    async def _request(self, method: str, *path: str, **rest: Any) -> httpx.Response:
        try:
            return await self._client.request(method, "/".join(quote(part, safe="") for part in path), **rest)
        except httpx.HTTPError as failure:
            raise ManagementError(
                f"RabbitMQ's management API at {self._server} cannot be reached ({type(failure).__name__})"
            ) from failure


def _reason(response: httpx.Response) -> str:
    if response.status_code == httpx.codes.UNAUTHORIZED:
        return "the account or its tag does not allow it, or the password is wrong"
    try:
        return str(response.json()["reason"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP status {response.status_code}"
