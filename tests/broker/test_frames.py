"""The relay's own encoder says what pamqp's would."""

from __future__ import annotations

from datetime import UTC

import pamqp.frame
from hypothesis import given
from hypothesis import strategies as st
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from broker._context import uuid7
from broker._envelope import Envelope
from broker._frames import publish_frames

PROPERTIES = ["content_type", "delivery_mode", "correlation_id", "message_id", "message_type", "user_id", "app_id", "headers"]

words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40)
envelopes = st.builds(
    Envelope,
    id=st.builds(uuid7),
    type=st.just("lab.result.available"),
    source=st.just("lab"),
    subject=words,
    version=st.integers(1, 99),
    sequence=st.integers(0, 2**62),
    flow=st.uuids(),
    cause=st.none() | st.uuids(),
    trace=st.none() | words,
    time=st.datetimes(timezones=st.just(UTC)),
    body=st.binary(max_size=20_000),
)


def parsed(data: bytes) -> list[object]:
    """The frames in `data`."""
    frames: list[object] = []
    while data:
        size, channel, frame = pamqp.frame.unmarshal(data)
        assert channel == 7
        frames.append(frame)
        data = data[size:]
    return frames


@given(envelopes, st.booleans())
def test_a_message_reads_as_if_pamqp_had_written_it(envelope: Envelope, mandatory: bool) -> None:
    """Method, header and body frames carry the same exchange, key, properties, headers and data."""
    frames = parsed(publish_frames(envelope, channel=7, user="lab", mandatory=mandatory, frame_max=4096))
    method, header, *bodies = frames
    assert isinstance(method, Basic.Publish)
    assert (method.exchange, method.routing_key, bool(method.mandatory)) == ("lab", envelope.type, mandatory)
    assert isinstance(header, ContentHeader)
    assert header.body_size == len(envelope.body)
    expected = envelope.properties("lab")
    for name in (
        "content_type",
        "delivery_mode",
        "correlation_id",
        "message_id",
        "message_type",
        "user_id",
        "app_id",
        "headers",
    ):
        assert getattr(header.properties, name) == getattr(expected, name), name
    assert all(isinstance(body, ContentBody) for body in bodies)
    assert b"".join(body.value for body in bodies if isinstance(body, ContentBody)) == envelope.body


@given(envelopes)
def test_no_frame_is_longer_than_was_agreed(envelope: Envelope) -> None:
    """A body is cut into frames of at most the size that client and broker agreed on."""
    data = publish_frames(envelope, channel=7, user="lab", mandatory=False, frame_max=4096)
    while data:
        size, _, _ = pamqp.frame.unmarshal(data)
        assert size <= 4096
        data = data[size:]


@given(envelopes)
def test_an_envelope_survives_its_properties(envelope: Envelope) -> None:
    """What a consumer reads is what the publisher meant."""
    properties = envelope.properties("lab")
    assert Envelope.read(properties.message_id, properties.headers or {}, envelope.body) == envelope
