"""Our own decoder of deliveries says what pamqp's would."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pamqp.frame
from aiormq.abc import DeliveredMessage
from hypothesis import given
from hypothesis import strategies as st
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from broker._contents import Contents
from broker._delivery import Delivery

CHANNEL = 3

words = st.text(max_size=30)
values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**62), 2**62)
    | st.floats(allow_nan=False, width=32)
    | words
    | st.binary(max_size=20).map(bytearray)
    | st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)).map(lambda time: time.replace(microsecond=0, tzinfo=UTC))
    | st.integers(0, 10**6).map(lambda cents: Decimal(cents) / 100),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
properties = st.builds(
    Basic.Properties,
    content_type=st.none() | words,
    content_encoding=st.none() | words,
    headers=st.none() | st.dictionaries(words, values, max_size=6) | st.just({"x-delivery-count": 3}),
    delivery_mode=st.none() | st.just(2),
    priority=st.none() | st.integers(0, 9),
    correlation_id=st.none() | words,
    expiration=st.none() | words,
    message_id=st.none() | words,
    timestamp=st.none() | st.just(datetime(2026, 11, 20, tzinfo=UTC)),
    message_type=st.none() | words,
    user_id=st.none() | words,
    app_id=st.none() | words,
)
methods = st.builds(
    Basic.Deliver,
    consumer_tag=words,
    delivery_tag=st.integers(1, 2**62),
    redelivered=st.booleans(),
    exchange=st.sampled_from(["", "lab", "billing"]),
    routing_key=st.sampled_from(["", "lab.result.available", "to.billing.charge"]),
)
messages = st.tuples(methods, properties, st.lists(st.binary(min_size=1, max_size=50), max_size=3))
Message = tuple[Basic.Deliver, Basic.Properties, list[bytes]]


def frames_of(message: Message, channel: int = CHANNEL) -> list[bytes]:
    """The frames that the broker sends for a message, its body cut in these parts."""
    method, its_properties, parts = message
    header = ContentHeader(body_size=sum(map(len, parts)), properties=its_properties)
    bodies = [ContentBody(part) for part in parts]
    frames: list[pamqp.frame.FrameTypes] = [method, header, *bodies]
    return [pamqp.frame.marshal(frame, channel) for frame in frames]


def as_pamqp_reads(message: Message) -> Delivery:
    """The delivery that aiormq and pamqp would have given."""
    method, header, *bodies = (pamqp.frame.unmarshal(frame)[2] for frame in frames_of(message))
    assert isinstance(method, Basic.Deliver)
    assert isinstance(header, ContentHeader)
    body = b"".join(body.value for body in bodies if isinstance(body, ContentBody))
    return Delivery.received(DeliveredMessage(delivery=method, header=header, body=body, channel=None))  # type: ignore[arg-type]


@given(st.lists(messages, max_size=4), st.lists(st.integers(0, 20)))
def test_a_delivery_reads_as_if_pamqp_had_read_it(sent: list[Message], cuts: list[int]) -> None:
    """Wherever runs of frames begin and end, each message comes once, in order, with all that it bore."""
    frames = [frame for message in sent for frame in frames_of(message)]
    places = [0, *sorted(min(cut, len(frames)) for cut in cuts), len(frames)]
    contents = Contents()
    runs = [b"".join(frames[begin:end]) for begin, end in itertools.pairwise(places)]
    assert [delivery for run in runs for delivery in contents.of(run)] == [as_pamqp_reads(message) for message in sent]


def test_what_pamqp_refuses_is_a_message_without_headers() -> None:
    """A header of an unknown kind or an id that is no UTF-8 spoils its own message, not the connection."""
    sent = (
        Basic.Deliver("tag", 1, False, "lab", "lab.result"),
        Basic.Properties(headers={"name": "value"}, message_id="identity"),
        [b"body"],
    )
    run = b"".join(frames_of(sent)).replace(b"\x04nameS", b"\x04name?").replace(b"identity", b"\xff" * 8)
    (delivery,) = Contents().of(run)
    assert (delivery.headers, delivery.id, delivery.body) == ({}, None, b"body")
