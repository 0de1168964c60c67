"""One delivery from RabbitMQ: what the broker itself reports of it, and what its sender claims."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic

from broker._envelope import ADDRESSED, Envelope
from broker._subscriptions import Subscription
from broker.errors import Newer, Permanent
from contracts.event import EVERY_SERVICE

DELIVERY_COUNT = "x-delivery-count"
CAREFUL = 2
"""Deliveries without an acknowledgement from which on a message is suspected of killing the process."""

DEFAULT_EXCHANGE = ""
NUL = "\0"
"""A character that PostgreSQL's text cannot hold."""


class Forged(Permanent):
    """Its way through the broker does not fit what it claims to be: nothing in it is believed, not even its id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One message as it was delivered.

    exchange, routing_key and delivery_count (earlier deliveries that were not acknowledged) are the broker's own word; the
    rest is the sender's. tag is its number on the channel, 0 when it did not come over one.
    """

    exchange: str
    routing_key: str
    delivery_count: int = 0
    tag: int = 0
    message_id: str | None
    user_id: str | None = None
    headers: Mapping[str, Any] = field(default_factory=dict)
    body: bytes

    @classmethod
    def received(cls, message: DeliveredMessage) -> Self:
        """The delivery in a raw message of aiormq."""
        frame, properties = message.delivery, message.header.properties
        assert isinstance(frame, Basic.Deliver | Basic.GetOk)
        headers = properties.headers or {}
        count = headers.get(DELIVERY_COUNT, 0)
        return cls(
            exchange=storable(frame.exchange or ""),
            routing_key=storable(frame.routing_key or ""),
            delivery_count=count if isinstance(count, int) else 0,
            tag=frame.delivery_tag or 0,
            message_id=properties.message_id,
            user_id=properties.user_id,
            headers=headers,
            body=message.body,
        )

    @property
    def id(self) -> UUID | None:
        """The message's id; None when it came without a usable one."""
        try:
            return UUID(self.message_id or "")
        except ValueError:
            return None

    @property
    def properties(self) -> dict[str, Any]:
        """Its properties and headers as JSON can hold them; `stored` reads them back."""
        return {name: _as_json(getattr(self, name)) for name in ("message_id", "user_id", "headers")}

    @classmethod
    def stored(cls, exchange: str, routing_key: str, properties: Mapping[str, Any], body: bytes) -> Self:
        """The delivery that was kept with these `properties`."""
        return cls(
            exchange=exchange,
            routing_key=routing_key,
            message_id=properties.get("message_id"),
            user_id=properties.get("user_id"),
            headers=properties.get("headers") or {},
            body=body,
        )

    def envelope(self) -> Envelope:
        """What the sender says it is. Raises Permanent when an attribute is missing, malformed or cannot be stored."""
        envelope = Envelope.read(self.message_id, self.headers, self.body)
        texts = (envelope.type, envelope.source, envelope.subject, envelope.trace or "")
        if NUL in "".join(texts) or not 1 <= envelope.version < 2**31 or not 0 <= envelope.sequence < 2**63:
            raise Permanent("a CloudEvents attribute of the message is malformed")
        return envelope

    def check(self, envelope: Envelope, subscription: Subscription, queue: str) -> None:
        """Believes the envelope only if the message came the way that its publisher alone can send it.

        Anybody may write any header; only a service's own account can write to its exchange. The default exchange is
        open to operators alone (a shovel), for whom the envelope's own word counts. What was addressed to the queue of an
        earlier name counts too. Raises Forged, and Newer for a type that this code does not know.
        """
        contract = subscription.contract(envelope.type)
        publisher = contract.contract.publisher if contract else EVERY_SERVICE
        publisher = envelope.source if publisher == EVERY_SERVICE else publisher
        if self.exchange == DEFAULT_EXCHANGE:
            honest = envelope.source == publisher
        else:
            service = queue.partition(".")[0]
            names = (subscription.name, *subscription.formerly)
            ways = {envelope.type, *(f"{ADDRESSED}{service}.{name}" for name in names)}
            honest = self.exchange == envelope.source == publisher and self.routing_key in ways
        if not honest:
            raise Forged(
                f"claims to be {envelope.type} of {envelope.source} but arrived by way of exchange {self.exchange!r} "
                f"with routing key {self.routing_key!r}"
            )
        if contract is None:
            raise Newer(f"{subscription.name} does not know the event {envelope.type} of {envelope.source} yet")


def _as_json(value: object) -> object:
    if isinstance(value, Mapping):
        return {storable(str(name)): _as_json(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(inner) for inner in value]
    if isinstance(value, bytes | bytearray):
        return storable(bytes(value).decode("utf-8", "replace"))
    if isinstance(value, datetime):
        return value.isoformat()
    if value is None or isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return storable(str(value))


def storable(value: str) -> str:
    """The text as PostgreSQL can hold it."""
    return value.replace(NUL, "\N{REPLACEMENT CHARACTER}")
