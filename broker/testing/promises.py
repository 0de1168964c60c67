"""What services say, held against what they promise: CloudEvents of their own contracts, as these were released.

Source: CloudEvents 1.0.2, and its AMQP protocol binding.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Self

from aiormq.abc import DeliveredMessage
from jsonschema import Draft202012Validator, FormatChecker
from pamqp.commands import Basic
from pydantic import ValidationError

from broker._envelope import ADDRESSED, ADDRESSED_TYPES, CONTENT_TYPE, PREFIX, Envelope
from broker._service import Service
from contracts import backbone
from contracts.event import Event, events_in

REQUIRED = ("id", "source", "specversion", "type", "subject", "time", "sequence", "correlationid", "dataversion")
NAME = re.compile(r"[a-z0-9]{1,20}")
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


@dataclass(frozen=True, slots=True)
class Message:
    """A message as the broker has it."""

    exchange: str
    routing_key: str
    properties: Basic.Properties
    body: bytes

    @classmethod
    def heard(cls, message: DeliveredMessage) -> Self:
        """One that was delivered."""
        return cls(message.exchange or "", message.routing_key or "", message.header.properties, message.body)

    @classmethod
    def sent(cls, envelope: Envelope, account: str) -> Self:
        """One as its service's relay sends it, under this account."""
        return cls(envelope.source, envelope.routing_key, envelope.properties(account), envelope.body)

    @property
    def attributes(self) -> dict[str, str]:
        """Its CloudEvents attributes."""
        headers = self.properties.headers or {}
        return {name.removeprefix(PREFIX): str(value) for name, value in headers.items() if name.startswith(PREFIX)}


class Promises:
    """What services promise.

    account: gives a service's account on the broker. schemas: the folder of released schemas, where there is one:
    `<event>.v<version>.json` holds an event's JSON Schema under `data`.
    """

    def __init__(self, services: Iterable[Service], *, account: Callable[[str], str], schemas: Path | None = None) -> None:
        events = [*(event for service in services for event in service.events), *events_in(backbone)]
        self._contracts = {(event.contract.name, event.contract.version): event for event in events}
        self._account, self._schemas = account, schemas

    def broken(self, message: Message) -> list[str]:
        """How a message breaks them, without what is in it; empty for one that keeps them all."""
        said = message.attributes
        absent = [f"has no {name}" for name in REQUIRED if not said.get(name)]
        if absent:
            return absent
        return [*_breaches_of_form(message, said, self._account(said["source"])), *self._breaches_of_content(message, said)]

    def _breaches_of_content(self, message: Message, said: dict[str, str]) -> Iterator[str]:
        type_, version = said["type"], said["dataversion"]
        contract = self._contracts.get((type_, int(version)))
        if contract is None:
            yield f"no contract is known of {type_} v{version}"
            return
        if not contract.contract.belongs_to(said["source"]):
            yield f"{type_} belongs to {contract.contract.publisher}, and {said['source']} says it"
        yield from _breaches_of_contract(contract, message.body, said["subject"])
        if self._schemas is not None:
            yield from _breaches_of_release(self._schemas / f"{type_}.v{version}.json", message.body)


def _breaches_of_form(message: Message, said: dict[str, str], account: str) -> Iterator[str]:
    for name in said:
        if not NAME.fullmatch(name):
            yield f"{name} is no name of an attribute"
    routing_key = f"{ADDRESSED}{said['subject']}" if said["type"] in ADDRESSED_TYPES else said["type"]
    properties = message.properties
    told: dict[str, tuple[object, object]] = {
        "specversion": (said["specversion"], "1.0"),
        "the content type": (properties.content_type, CONTENT_TYPE),
        "the message's id": (properties.message_id, said["id"]),
        "the exchange": (message.exchange, said["source"]),
        "the routing key": (message.routing_key, routing_key),
        "the sender's account": (properties.user_id, account),
        "the delivery mode": (properties.delivery_mode, 2),
    }
    for name, (is_, should) in told.items():
        if is_ != should:
            yield f"{name} is {is_!r}, not {should!r}"
    if not RFC3339.fullmatch(said["time"]) or datetime.fromisoformat(said["time"]).utcoffset() is None:
        yield "time is no RFC 3339 timestamp"


def _breaches_of_contract(contract: type[Event], body: bytes, subject: str) -> Iterator[str]:
    """What a publisher may not say, though who reads it would bear it: fields that the contract does not have."""
    try:
        event = contract.model_validate_json(body)
    except ValidationError as invalid:
        for error in invalid.errors(include_input=False, include_url=False):
            yield f"its contract does not allow {_place(error['loc'])}: {error['type']}"
    else:
        if event.subject != subject:
            yield f"the subject is not its key, {contract.contract.key}"


def _breaches_of_release(file: Path, body: bytes) -> Iterator[str]:
    if not file.exists():
        yield "it was never released"
        return
    for error in _validator(file).iter_errors(json.loads(body)):
        yield f"its released schema does not allow {_place(error.absolute_path)}: {error.validator}"


@cache
def _validator(file: Path) -> Draft202012Validator:
    return Draft202012Validator(json.loads(file.read_text())["data"], format_checker=FormatChecker())


def _place(path: Iterable[Any] | Sequence[Any]) -> str:
    return ".".join(str(each) for each in path) or "the body"
