"""CloudEvents 1.0 in AMQP's binary mode: attributes as properties and headers, the body is the data alone.

Source: CloudEvents AMQP Protocol Binding 1.0.2, section 3.1. Header names carry the prefix `cloudEvents:`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic

from broker.errors import Permanent
from contracts.backbone import ReplicaStates

PREFIX = "cloudEvents:"
CONTENT_TYPE = "application/json"
ADDRESSED = "to."
"""Begins the routing key of a message that is meant for one queue alone."""

ADDRESSED_TYPES = frozenset({ReplicaStates.contract.name})
CAUSE, TRACE, VERSION = f"{PREFIX}causationid", f"{PREFIX}traceparent", f"{PREFIX}dataversion"
MAX_ATTRIBUTE = 500
"""Characters of an attribute, at most: keys and types stand in indexes, which hold no more than about 2,700 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """One message as the backbone sees it. `sequence` is the aggregate's version, or the position in the outbox."""

    id: UUID
    type: str
    source: str
    subject: str
    version: int
    sequence: int
    flow: UUID
    cause: UUID | None
    trace: str | None
    time: datetime
    body: bytes

    @property
    def routing_key(self) -> str:
        """Its type; or the queue that it is addressed to."""
        return f"{ADDRESSED}{self.subject}" if self.type in ADDRESSED_TYPES else self.type

    def properties(self, user: str) -> Basic.Properties:
        """The AMQP properties it is sent with; `user` is the account of the sender, which the broker checks."""
        headers: dict[str, Any] = {
            f"{PREFIX}specversion": "1.0",
            f"{PREFIX}id": str(self.id),
            f"{PREFIX}type": self.type,
            f"{PREFIX}source": self.source,
            f"{PREFIX}subject": self.subject,
            f"{PREFIX}time": self.time.isoformat(),
            f"{PREFIX}sequence": str(self.sequence),
            f"{PREFIX}correlationid": str(self.flow),
            f"{PREFIX}dataversion": str(self.version),
        }
        if self.cause is not None:
            headers[f"{PREFIX}causationid"] = str(self.cause)
        if self.trace is not None:
            headers[f"{PREFIX}traceparent"] = self.trace
        return Basic.Properties(
            content_type=CONTENT_TYPE,
            delivery_mode=2,
            message_id=str(self.id),
            message_type=self.type,
            correlation_id=str(self.flow),
            app_id=self.source,
            user_id=user,
            headers=headers,
        )

    @classmethod
    def received(cls, message: DeliveredMessage) -> Envelope:
        """The envelope of a delivery. Raises Permanent, naming the attribute, when one is missing or malformed."""
        properties = message.header.properties
        return cls.read(properties.message_id, properties.headers or {}, message.body)

    @classmethod
    def read(cls, message_id: str | None, headers: Mapping[str, Any], body: bytes) -> Envelope:
        """The envelope in these properties; `received` says what it raises."""
        if not message_id:
            raise Permanent("the message has no message_id")
        try:
            cause = _attribute(headers, "causationid") if headers.get(CAUSE) else None
            time = datetime.fromisoformat(_attribute(headers, "time"))
            return cls(
                id=UUID(message_id),
                type=_attribute(headers, "type"),
                source=_attribute(headers, "source"),
                subject=_attribute(headers, "subject"),
                version=_number(_attribute(headers, "dataversion"), bits=31),
                sequence=_number(_attribute(headers, "sequence"), bits=63),
                flow=UUID(_attribute(headers, "correlationid")),
                cause=UUID(cause) if cause else None,
                trace=_attribute(headers, "traceparent") if headers.get(TRACE) else None,
                time=time if time.tzinfo else time.replace(tzinfo=UTC),
                body=body,
            )
        except ValueError as malformed:
            raise Permanent("a CloudEvents attribute of the message is malformed") from malformed


def _attribute(headers: Mapping[str, Any], name: str) -> str:
    value = headers.get(PREFIX + name)
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str) or not value:
        raise Permanent(f"the message has no CloudEvents attribute {name!r}")
    if len(value) > MAX_ATTRIBUTE or "\0" in value:
        raise Permanent(f"the CloudEvents attribute {name!r} of the message is malformed")
    return value


def _number(digits: str, *, bits: int) -> int:
    number = int(digits)
    if not 0 <= number < 2**bits:
        raise ValueError("out of range")
    return number
