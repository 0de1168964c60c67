"""What the services say to each other, overheard: a copy of every message that any of them publishes, as the broker has it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Self
from uuid import UUID

import aiormq
from aiormq.abc import AbstractConnection, DeliveredMessage
from jsonschema import Draft202012Validator, FormatChecker

from broker import Service
from nilecare.schemas import FOLDER

PREFIX = "cloudEvents:"
REQUIRED = ("id", "source", "specversion", "type")
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


class Overheard:
    """Everything that was published since it began to listen, by the id that the sender gave it; the last copy counts."""

    def __init__(self, connection: AbstractConnection) -> None:
        self._connection = connection
        self.messages: dict[UUID, DeliveredMessage] = {}

    @classmethod
    async def on(cls, amqp_url: str, services: Iterable[Service]) -> Self:
        """Listens to the exchanges of these services, as an administrator may."""
        overheard = cls(await aiormq.connect(amqp_url))
        channel = await overheard._connection.channel()
        queue = (await channel.queue_declare(exclusive=True)).queue or ""
        for service in services:
            await channel.queue_bind(queue, service.name, "#")
        await channel.basic_consume(queue, overheard._take, no_ack=True)
        return overheard

    async def close(self) -> None:
        """Hears no more."""
        await self._connection.close()

    async def _take(self, message: DeliveredMessage) -> None:
        self.messages[UUID(message.header.properties.message_id)] = message


def faults(message: DeliveredMessage) -> list[str]:
    """What keeps a message from being a valid CloudEvent of its contract, sent the way its publisher does; empty when nothing.

    Source: CloudEvents 1.0.2, its AMQP protocol binding, and the released schemas of the contracts.
    """
    said = attributes(message)
    found = [f"has no {name}" for name in REQUIRED if not said.get(name)]
    if found:
        return found
    found += [f"{name} is no name of an attribute" for name in said if not re.fullmatch(r"[a-z0-9]{1,20}", name)]
    properties = message.header.properties
    told = {
        "specversion": (said["specversion"], "1.0"),
        "datacontenttype": (properties.content_type, "application/json"),
        "id": (said["id"], properties.message_id),
        "source": (said["source"], message.exchange),
        "type": (f"to.{said['subject']}" if said["type"] == "replica.states" else said["type"], message.routing_key),
        "the sender's account": (str(properties.user_id).rpartition("_")[2], said["source"]),
        "delivery mode": (properties.delivery_mode, 2),
    }
    found += [f"{name} is {is_!r}, not {should!r}" for name, (is_, should) in told.items() if is_ != should]
    if not RFC3339.fullmatch(said["time"]) or datetime.fromisoformat(said["time"]).utcoffset() is None:
        found.append("time is no RFC 3339 timestamp")
    return found + _breaches(said, json.loads(message.body))


def attributes(message: DeliveredMessage) -> dict[str, str]:
    """The CloudEvents attributes in a message's headers."""
    headers = message.header.properties.headers or {}
    return {name.removeprefix(PREFIX): str(value) for name, value in headers.items() if name.startswith(PREFIX)}


def _breaches(said: dict[str, str], body: dict[str, Any]) -> list[str]:
    released = json.loads((FOLDER / f"{said['type']}.v{said['dataversion']}.json").read_text())
    validator = Draft202012Validator(released["data"], format_checker=FormatChecker())
    found = [f"{error.json_path} breaks {error.validator}" for error in validator.iter_errors(body)]
    if str(body.get(released["key"])) != said["subject"]:
        found.append("subject is not the key")
    return found
