"""How deliveries come off the wire: whole runs of them at once, past aiormq's work for each frame.

aiormq reads, decodes and queues three frames a message, which costs more than all the rest of a replica's work. Its transports
can be replaced: `Wire` gives it every other frame as it came, and each run of deliveries on one channel as a single body
frame, which `ConsumingChannel` takes apart. On a connection with a Wire only such channels may consume.
"""

from __future__ import annotations

import asyncio
import itertools
import struct
from collections.abc import Callable
from typing import Any, cast

from aiormq.abc import AbstractConnection, DeliveredMessage, FrameType
from aiormq.channel import Channel
from aiormq.connection import TCPTransportFactory, TLSTransportFactory, TransportFactory
from pamqp.body import ContentBody
from pamqp.commands import Basic
from yarl import URL

from broker._contents import DELIVER, Contents
from broker._delivery import Delivery
from broker._frames import BODY, FRAME_END, FRAME_OVERHEAD, METHOD

HEAD = struct.Struct(">BHI")
CHUNK = 2**17
"""Bytes that are read at once, at most."""

FRAMES = 1000
"""Frames that may wait for a channel's reader: enough for it to work in long runs."""


class Wire(TransportFactory):
    """Connects as aiormq does by itself, and gathers deliveries. For aiormq's argument `transport_factory`."""

    async def create(self, url: URL, **kwargs: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        plain = TLSTransportFactory() if url.scheme == "amqps" else TCPTransportFactory()
        reader, writer = await plain.create(url, **kwargs)
        return cast("asyncio.StreamReader", Runs(reader)), writer


class Runs:
    """What aiormq reads from: the part of a StreamReader that it uses. It asks for one frame after the other, in pieces."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._data, self._at = b"", 0
        self._frame, self._given = b"", 0
        self._delivering: set[int] = set()

    def at_eof(self) -> bool:
        """Whether there will be nothing more."""
        return self._given >= len(self._frame) and self._at >= len(self._data) and self._reader.at_eof()

    async def readexactly(self, size: int) -> bytes:
        """The next `size` bytes. Raises IncompleteReadError when the connection ended before."""
        if self._given >= len(self._frame):
            self._frame, self._given = await self._next(), 0
        begin, self._given = self._given, self._given + size
        return self._frame[begin : self._given]

    async def _next(self) -> bytes:
        while not (frame := self._cut()):
            more = await self._reader.read(CHUNK)
            rest = self._data[self._at :]
            if not more:
                raise asyncio.IncompleteReadError(rest, None)
            self._data, self._at = rest + more, 0
        return frame

    def _cut(self) -> bytes:
        """The next frame for aiormq out of what has been read; empty when it has not come whole."""
        data, start = self._data, self._at
        at, running = start, 0
        while at + HEAD.size <= len(data):
            kind, channel, size = HEAD.unpack_from(data, at)
            after = at + size + FRAME_OVERHEAD
            if after > len(data):
                break
            if kind == METHOD:
                is_delivery = data.startswith(DELIVER, at + HEAD.size)
                (self._delivering.add if is_delivery else self._delivering.discard)(channel)
            if at > start and channel != running:
                break
            if channel not in self._delivering:
                if at == start:
                    self._at = after
                    return data[at:after]
                break
            at, running = after, channel
        self._at = at
        return HEAD.pack(BODY, running, at - start) + data[start:at] + FRAME_END if at > start else b""


class ConsumingChannel(Channel):
    """A channel whose deliveries go to `receive`, in their order, without a task each."""

    def __init__(self, connection: AbstractConnection, number: int, receive: Callable[[Delivery], None]) -> None:
        super().__init__(connection, number, publisher_confirms=False, frame_buffer=FRAMES)
        self._contents = Contents()
        self._receive = receive

    @classmethod
    async def on(cls, connection: AbstractConnection, receive: Callable[[Delivery], None]) -> ConsumingChannel:
        """Opens one. Raises what aiormq raises."""
        number = next(number for number in itertools.count(1) if number not in connection.channels)
        channel = connection.channels[number] = cls(connection, number, receive)
        await channel.open()
        return channel

    async def consume(self, queue: str) -> None:
        """Begins to receive. Raises what aiormq raises."""
        await self.basic_consume(queue, self._on_message)

    async def _on_message(self, message: DeliveredMessage) -> None:
        """aiormq's own way of a delivery, which none takes: `_on_deliver_frame` is before it."""

    async def _on_deliver_frame(self, frame: Basic.Deliver) -> None:
        raise RuntimeError("a connection whose deliveries are taken in runs needs a Wire as its transport_factory")

    async def _get_frame(self) -> FrameType:
        while isinstance(frame := await super()._get_frame(), ContentBody):
            for delivery in self._contents.of(frame.value):
                self._receive(delivery)
        return frame
