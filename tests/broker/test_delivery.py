"""What the broker reports of a message is believed; what its sender claims is checked against it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from broker._context import uuid7
from broker._delivery import Delivery, Forged
from broker._subscriptions import Subscription
from broker.errors import Newer, Permanent
from tests.broker.consuming import QUEUE, Happened, delivery_of, envelope_of, service_with

ENVELOPE = envelope_of(Happened(thing="thing", number=1))


@pytest.fixture
def subscription() -> Subscription:
    return service_with().subscriptions[0]


@pytest.mark.parametrize(
    "way",
    [
        {},
        {"routing_key": f"to.{QUEUE}"},
        {"exchange": "", "routing_key": QUEUE},
    ],
)
def test_believes_the_publisher_and_operators(subscription: Subscription, way: dict[str, Any]) -> None:
    """A message counts by its publisher's exchange, addressed or not, and by the default exchange, which is operators'."""
    delivery_of(ENVELOPE, **way).check(ENVELOPE, subscription, QUEUE)


def test_believes_what_was_addressed_to_an_earlier_name(subscription: Subscription) -> None:
    """A message addressed to the queue of the subscription's earlier name counts after the rename."""
    renamed = replace(subscription, name="enter", formerly=(subscription.name,))
    for queue in (QUEUE, "ledger.enter"):
        delivery_of(ENVELOPE, routing_key=f"to.{QUEUE}").check(ENVELOPE, renamed, queue)


@pytest.mark.parametrize(
    ("claimed", "way"),
    [
        ({}, {"exchange": "billing"}),
        ({}, {"routing_key": "lab.result.available"}),
        ({}, {"routing_key": "to.another.queue"}),
        ({"source": "billing"}, {"exchange": "billing"}),
        ({"source": "billing"}, {"exchange": "", "routing_key": QUEUE}),
        ({"type": "thing.invented"}, {"exchange": "billing"}),
    ],
)
def test_refuses_what_came_another_way(subscription: Subscription, claimed: dict[str, Any], way: dict[str, Any]) -> None:
    """A message by another exchange or routing key than its publisher's is forged, whatever its headers say."""
    envelope = envelope_of(Happened(thing="thing", number=1), **claimed)
    with pytest.raises(Forged, match="arrived by way of"):
        delivery_of(envelope, **way).check(envelope, subscription, QUEUE)


def test_an_unknown_type_may_be_newer(subscription: Subscription) -> None:
    """A type that the subscription does not know, from its own publisher, waits for newer code."""
    envelope = envelope_of(Happened(thing="thing", number=1), type="thing.invented")
    with pytest.raises(Newer):
        delivery_of(envelope).check(envelope, subscription, QUEUE)


def test_is_kept_and_read_back() -> None:
    """Properties and headers survive being kept as JSON, whatever a sender or the broker put into them."""
    odd = {"x-death": [{"time": datetime.now(UTC), "count": 1}], "bytes": b"\xff\0", "nan": float("nan"), "nul": "a\0b"}
    delivery = delivery_of(ENVELOPE)
    delivery = delivery_of(ENVELOPE, headers={**delivery.headers, **odd})
    kept = json.loads(json.dumps(delivery.properties, allow_nan=False))
    assert "\0" not in json.dumps(kept)
    assert r"\u0000" not in json.dumps(kept)
    assert Delivery.stored("lab", ENVELOPE.type, kept, ENVELOPE.body).envelope() == ENVELOPE


@pytest.mark.parametrize("id_", [None, "", "not-a-uuid"])
def test_no_id_is_invented(id_: str | None) -> None:
    """A message without a usable id has none, and no envelope."""
    delivery = delivery_of(ENVELOPE, message_id=id_)
    assert delivery.id is None
    with pytest.raises(Permanent):
        delivery.envelope()


def test_has_the_id_of_its_message() -> None:
    """The AMQP message_id is the event's id."""
    id_ = uuid7()
    assert delivery_of(envelope_of(Happened(thing="thing", number=1), id_=id_)).id == id_
