"""The AsyncAPI 3.0 document of the platform: one channel per event type, who sends and who receives on it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from broker import Service, Subscription
from contracts.event import EVERY_SERVICE, Event
from nilecare.platform import said_by_all

DRAFT = "application/schema+json;version=draft-07"


def document(services: Sequence[Service]) -> dict[str, Any]:
    """The document, as JSON data. Source: AsyncAPI specification 3.0.0 and its AMQP bindings 0.3.0."""
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    for service in services:
        for event in service.events:
            name = event.contract.name
            message = f"{name}.v{event.contract.version}"
            messages[message] = _message(event)
            channel = channels.setdefault(name, _channel(service, event))
            channel["messages"][message] = {"$ref": f"#/components/messages/{message}"}
            operations[f"{service.name} sends {name}"] = _operation("send", service, name, event.__doc__)
    for event in said_by_all(services):
        name = event.contract.name
        message = f"{name}.v{event.contract.version}"
        messages[message] = _message(event)
        channels[name] = _channel(None, event) | {"messages": {message: {"$ref": f"#/components/messages/{message}"}}}
        for service in services:
            operations[f"{service.name} sends {name}"] = _operation("send", service, name, event.__doc__)
    for service in services:
        for subscription in service.subscriptions:
            for event in subscription.events:
                name = event.contract.name
                operation = _operation("receive", service, name, subscription.handler.__doc__)
                operations[f"{service.queue(subscription)} receives {name}"] = operation | _queue(service, subscription)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "NileCare",
            "version": _version(),
            "description": "Domain events between the services of a hospital, an insurer and their partners.",
        },
        "defaultContentType": "application/json",
        "servers": {"rabbitmq": {"host": "localhost:5672", "protocol": "amqp", "protocolVersion": "0-9-1"}},
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages},
    }


def _version() -> str:
    try:
        return version("nilecare")
    except PackageNotFoundError:
        return "0"


def _channel(service: Service | None, event: type[Event]) -> dict[str, Any]:
    """The channel of an event; without a service, that of one which every service publishes on an exchange of its own."""
    name = service.name if service else "the publisher's own"
    return {
        "address": event.contract.name,
        "title": event.contract.name,
        "description": event.__doc__ or "",
        "messages": {},
        "bindings": {
            "amqp": {
                "is": "routingKey",
                "exchange": {"name": name, "type": "topic", "durable": True, "autoDelete": False},
                "bindingVersion": "0.3.0",
            }
        },
    }


def _message(event: type[Event]) -> dict[str, Any]:
    contract = event.contract
    return {
        "name": contract.name,
        "title": f"{contract.name} v{contract.version}",
        "summary": (event.__doc__ or "").strip().partition("\n")[0],
        "contentType": "application/json",
        "correlationId": {"location": "$message.header#/cloudEvents:correlationid"},
        "headers": {
            "type": "object",
            "required": ["cloudEvents:id", "cloudEvents:type", "cloudEvents:source", "cloudEvents:dataversion"],
            "properties": {
                "cloudEvents:specversion": {"const": "1.0"},
                "cloudEvents:id": {"type": "string", "format": "uuid"},
                "cloudEvents:type": {"const": contract.name},
                "cloudEvents:source": {"type": "string"}
                if contract.publisher == EVERY_SERVICE
                else {"const": contract.publisher},
                "cloudEvents:subject": {"type": "string", "description": f"the event's {contract.key}"},
                "cloudEvents:dataversion": {"const": str(contract.version)},
            },
        },
        "payload": {"schemaFormat": DRAFT, "schema": event.model_json_schema()},
        "bindings": {"amqp": {"messageType": contract.name, "bindingVersion": "0.3.0"}},
    }


def _source(publisher: str) -> dict[str, Any]:
    return {"type": "string"} if publisher == EVERY_SERVICE else {"const": publisher}


def _operation(action: str, service: Service, channel: str, description: str | None) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "title": f"{service.name} {action}s {channel}",
        "summary": (description or "").strip().partition("\n")[0],
        "tags": [{"name": service.name}],
    }


def _queue(service: Service, subscription: Subscription) -> dict[str, Any]:
    return {"x-queue": service.queue(subscription), "x-on-failure": subscription.on_failure}
