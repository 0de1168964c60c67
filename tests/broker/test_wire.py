"""Runs of deliveries reach aiormq as one frame, and every other frame as it came."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict

import pamqp.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp.body import ContentBody
from pamqp.commands import Basic, Channel, Queue
from pamqp.header import ContentHeader
from pamqp.heartbeat import Heartbeat

from broker._contents import Contents
from broker._wire import Runs
from tests.broker.test_contents import frames_of

OTHERS = (
    [pamqp.frame.marshal(Heartbeat(), 0)],
    [pamqp.frame.marshal(Queue.DeclareOk("queue", 1, 1), 2)],
    [pamqp.frame.marshal(Channel.CloseOk(), 1)],
    [
        pamqp.frame.marshal(frame, 2)
        for frame in (Basic.GetOk(1, False, "lab", "lab.result", 0), ContentHeader(body_size=4), ContentBody(b"mine"))
    ],
)


def sent(kinds: list[int]) -> list[list[bytes]]:
    """What the broker sends: deliveries on channels 1 and 2, told by their numbers, and other things in between."""
    things = []
    for number, kind in enumerate(kinds, start=1):
        if kind < len(OTHERS):
            things.append(OTHERS[kind])
        else:
            method = Basic.Deliver("tag", number, False, "lab", "lab.result")
            things.append(frames_of((method, Basic.Properties(), [b"x" * 20, b"y"]), channel=1 + kind % 2))
    return things


async def frames_read(runs: Runs) -> list[bytes]:
    """What aiormq reads, in the pieces in which it asks, until the connection ends."""
    frames: list[bytes] = []
    while True:
        try:
            head = await runs.readexactly(1) + await runs.readexactly(6)
        except asyncio.IncompleteReadError as end:
            if end.partial:
                raise
            return frames
        _, _, size = pamqp.frame.frame_parts(head)
        frames.append(head + await runs.readexactly((size or 0) + 1))


@given(st.lists(st.integers(0, len(OTHERS) + 3), max_size=12), st.integers())
def test_nothing_is_lost_or_overtaken_on_a_channel(kinds: list[int], seed: int) -> None:
    """However the bytes arrive, each channel has its deliveries and its other frames in the order they were sent."""
    things, chance = sent(kinds), random.Random(seed)
    data = b"".join(frame for thing in things for frame in thing)

    async def read() -> list[bytes]:
        reader = asyncio.StreamReader()
        runs = asyncio.ensure_future(frames_read(Runs(reader)))
        at = 0
        while at < len(data):
            size = chance.randint(1, 60)
            reader.feed_data(data[at : at + size])
            await asyncio.sleep(0)
            at += size
        reader.feed_eof()
        return await runs

    expected: dict[int, list[object]] = defaultdict(list)
    for number, thing in enumerate(things, start=1):
        _, channel, first = pamqp.frame.unmarshal(thing[0])
        expected[channel].extend([number] if isinstance(first, Basic.Deliver) else thing)
    got: dict[int, list[object]] = defaultdict(list)
    contents: dict[int, Contents] = defaultdict(Contents)
    for raw in asyncio.run(read()):
        _, channel, frame = pamqp.frame.unmarshal(raw)
        if isinstance(frame, ContentBody) and frame.value != b"mine":
            got[channel].extend(delivery.tag for delivery in contents[channel].of(frame.value))
        else:
            got[channel].append(raw)
    assert got == expected


async def test_a_connection_that_ends_in_a_frame_is_an_error() -> None:
    """The end of the connection amid a frame is told as a StreamReader tells it."""
    reader = asyncio.StreamReader()
    reader.feed_data(OTHERS[1][0][:-1])
    reader.feed_eof()
    with pytest.raises(asyncio.IncompleteReadError):
        await Runs(reader).readexactly(1)
