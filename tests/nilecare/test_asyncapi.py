"""The platform's AsyncAPI document is one that other people's tools can read."""

from __future__ import annotations

import json
from pathlib import Path

from jsonschema import Draft7Validator

from nilecare.asyncapi import document
from nilecare.platform import events, services

SCHEMA = Path(__file__).parent.parent / "data" / "asyncapi-3.0.0.json"


def test_the_document_is_valid_against_the_official_schema() -> None:
    """AsyncAPI's own schema finds nothing wrong with the document of the whole platform."""
    validator = Draft7Validator(json.loads(SCHEMA.read_text()))
    errors = [
        f"{'/'.join(map(str, error.path))}: {error.message[:200]}" for error in validator.iter_errors(document(services()))
    ]
    assert errors == []


def test_every_event_and_subscription_is_in_it() -> None:
    """Nobody says or hears anything that the document does not have."""
    platform = services()
    described = document(platform)
    assert set(described["channels"]) == {event.contract.name for event in events(platform)}
    received = {operation["x-queue"] for operation in described["operations"].values() if operation["action"] == "receive"}
    assert received == {service.queue(subscription) for service in platform for subscription in service.subscriptions}
