"""What breaks a promise is found, and told without what is in the message."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from broker import Envelope
from broker.testing.promises import Message, Promises
from tests.broker.testing.shop.store import app as store
from tests.broker.testing.shop.store_says import ParcelPacked
from tests.broker.testing.shop.till import app as till

ID = UUID(int=7)
BODY = {"order_id": str(ID), "article": "tea"}


def account(service: str) -> str:
    """A service's account."""
    return f"shop_{service}"


def message(**attributes: Any) -> Message:
    """A message of the store that keeps every promise, but for these attributes of its envelope."""
    envelope = Envelope(
        id=ID, type="parcel.packed", source="store", subject=str(ID), version=1, sequence=3, flow=ID, cause=ID, trace=None,
        time=datetime(2026, 3, 1, tzinfo=UTC), body=json.dumps(BODY).encode(),
    )  # fmt: skip
    return Message.sent(replace(envelope, **attributes), account("store"))


def with_header(name: str, value: str) -> Message:
    """The message with another header."""
    said = message()
    (said.properties.headers or {})[f"cloudEvents:{name}"] = value
    return said


def bytes_of(**fields: Any) -> bytes:
    """The message's body with other fields."""
    return json.dumps({**BODY, **fields}).encode()


BROKEN = {
    "has no source": with_header("source", ""),
    "has no correlationid": with_header("correlationid", ""),
    "a-b is no name of an attribute": with_header("a-b", "1"),
    "specversion is '0.3', not '1.0'": with_header("specversion", "0.3"),
    "time is no RFC 3339 timestamp": with_header("time", "yesterday"),
    "the content type is 'text/plain', not 'application/json'": None,
    "the exchange is 'till', not 'store'": replace(message(), exchange="till"),
    "the routing key is 'order.placed', not 'parcel.packed'": replace(message(), routing_key="order.placed"),
    "the sender's account is 'shop_till', not 'shop_store'": Message.sent(
        Envelope.read(str(ID), message().properties.headers or {}, message().body), account("till")
    ),
    "no contract is known of parcel.lost v1": message(type="parcel.lost"),
    "no contract is known of parcel.packed v2": message(version=2),
    "order.cancelled belongs to till, and store says it": message(
        type="order.cancelled", body=json.dumps({"order_id": str(ID)}).encode()
    ),
    "its contract does not allow article: string_type": message(body=bytes_of(article=17)),
    "its contract does not allow colour: extra_forbidden": message(body=bytes_of(colour="red")),
    "its contract does not allow the body: json_invalid": message(body=b"tea"),
    "the subject is not its key, order_id": message(subject=str(UUID(int=8))),
}


@pytest.mark.parametrize("breach", BROKEN)
def test_a_broken_promise_is_said(breach: str) -> None:
    """Each alone, by its name."""
    said = BROKEN[breach]
    if said is None:
        said = message()
        said.properties.content_type = "text/plain"
    assert Promises([store.service, till.service], account=account).broken(said) == [breach]


def test_what_was_released_binds_too(tmp_path: Path) -> None:
    """A contract that has changed since in the code does not change what others read by."""
    promises = Promises([store.service], account=account, schemas=tmp_path)
    assert promises.broken(message()) == ["it was never released"]
    schema = ParcelPacked.model_json_schema()
    schema["properties"]["article"]["maxLength"] = 3
    (tmp_path / "parcel.packed.v1.json").write_text(json.dumps({"data": schema}))
    assert promises.broken(message()) == []
    assert promises.broken(message(body=bytes_of(article="coffee"))) == [
        "its released schema does not allow article: maxLength"
    ]
