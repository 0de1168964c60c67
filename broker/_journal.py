"""Which subscriptions are bound to a publisher's exchange at this moment, as the broker says."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from urllib.parse import quote, unquote, urlsplit

import httpx

from broker._tls import authorities

Bound = Mapping[str, Collection[str]]
"""The queues bound to each routing key."""


class Bindings:
    """Reads the bindings of one exchange over the management API."""

    def __init__(self, management_url: str, amqp_url: str, exchange: str) -> None:
        address = urlsplit(management_url)
        self._client = httpx.AsyncClient(
            base_url=f"{address.scheme}://{address.hostname}:{address.port or 15672}",
            auth=(unquote(address.username or "guest"), unquote(address.password or "guest")),
            timeout=10,
            verify=authorities(),
        )
        vhost = unquote(urlsplit(amqp_url).path.removeprefix("/")) or "/"
        self._path = f"/api/exchanges/{quote(vhost, safe='')}/{quote(exchange, safe='')}/bindings/source"

    async def read(self) -> Bound:
        """The bindings now. Raises httpx.HTTPError when the broker does not say."""
        reply = await self._client.get(self._path)
        if reply.status_code == httpx.codes.NOT_FOUND:
            return {}
        reply.raise_for_status()
        bound: dict[str, set[str]] = {}
        for binding in reply.json():
            if binding["destination_type"] == "queue":
                bound.setdefault(binding["routing_key"], set()).add(binding["destination"])
        return bound

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.aclose()


def bound_throughout(before: Bound, after: Bound) -> dict[str, set[str]]:
    """What was bound both before the messages were sent and after they were confirmed."""
    return {key: set(queues) & set(after.get(key, ())) for key, queues in before.items()}
