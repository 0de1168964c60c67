"""Publishing on a channel with many confirms outstanding: batches, not futures per message."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

import aiormq
from aiormq.abc import AbstractConnection, ChannelFrame, ConfirmationFrameType
from aiormq.channel import Channel
from pamqp.commands import Basic

from broker._envelope import Envelope
from broker._frames import publish_frames

CONNECT_SECONDS = 5.0


class InDoubt(Exception):
    """It is not known which of the messages on the way have arrived."""


@dataclass(slots=True, eq=False)
class Batch:
    """Messages sent in one write. `returned` are the ids that no queue took."""

    envelopes: Sequence[Envelope]
    outstanding: int
    confirmed: asyncio.Future[None]
    returned: set[str] = field(default_factory=set)


class PublishingChannel(Channel):
    """A channel in confirm mode that accounts for whole batches.

    aiormq keeps a future per message and finds returned messages by their id; with thousands on the way both cost more than
    the sending itself.
    """

    def __init__(self, connection: AbstractConnection, number: int) -> None:
        super().__init__(connection, number, publisher_confirms=True)
        self._last_tag = 0
        self._unconfirmed: dict[int, Batch] = {}

    async def send(self, envelopes: Sequence[Envelope], *, user: str, mandatory: frozenset[str]) -> Batch:
        """Writes the messages at once; `mandatory` are the types that must reach a queue.

        The batch's `confirmed` is done when the broker has taken responsibility for all of them; it fails with InDoubt.
        """
        batch = Batch(envelopes, len(envelopes), asyncio.get_running_loop().create_future())
        batch.confirmed.add_done_callback(lambda future: future.cancelled() or future.exception())
        frame_max = self.connection.connection_tune.frame_max
        payload = b"".join(
            publish_frames(envelope, channel=self.number, user=user, mandatory=envelope.type in mandatory, frame_max=frame_max)
            for envelope in envelopes
        )
        for _ in envelopes:
            self._last_tag += 1
            self._unconfirmed[self._last_tag] = batch
        await self.write_queue.put(ChannelFrame(payload=payload, should_close=False))
        return batch

    async def _on_confirm_frame(self, frame: ConfirmationFrameType) -> None:
        if not isinstance(frame, Basic.Ack):
            self.doubt()
            return
        tag = frame.delivery_tag or 0
        if frame.multiple:
            settled = list(itertools.takewhile(lambda unconfirmed: unconfirmed <= tag, self._unconfirmed))
        else:
            settled = [tag] if tag in self._unconfirmed else []
        for one in settled:
            batch = self._unconfirmed.pop(one)
            batch.outstanding -= 1
            if batch.outstanding == 0 and not batch.confirmed.done():
                batch.confirmed.set_result(None)

    async def _on_return_frame(self, frame: Basic.Return) -> None:
        header = await self._get_frame()
        message = await self._read_content(frame, header)  # type: ignore[arg-type]
        returned = message.header.properties.message_id
        for batch in dict.fromkeys(self._unconfirmed.values()):
            if any(str(envelope.id) == returned for envelope in batch.envelopes):
                batch.returned.add(str(returned))
                return

    def doubt(self) -> None:
        """Gives up on everything on the way."""
        for batch in self._unconfirmed.values():
            if not batch.confirmed.done():
                batch.confirmed.set_exception(InDoubt())
        self._unconfirmed.clear()


class PublishingConnection:
    """A connection of the relay's own, with one publishing channel."""

    def __init__(self, connection: AbstractConnection, channel: PublishingChannel, user: str) -> None:
        self._connection = connection
        self.channel = channel
        self.user = user

    @classmethod
    async def open(cls, amqp_url: str, *, name: str) -> PublishingConnection:
        """Connects, within CONNECT_SECONDS; `name` is what the broker's pages show."""
        async with asyncio.timeout(CONNECT_SECONDS):
            connection = await aiormq.connect(amqp_url, client_properties={"connection_name": name})
            channel = PublishingChannel(connection, 1)
            connection.channels[channel.number] = channel
            await channel.open()
            channel.closing.add_done_callback(lambda _: channel.doubt())
        return cls(connection, channel, unquote(urlsplit(amqp_url).username or "guest"))

    @property
    def is_open(self) -> bool:
        """Whether it can still be published on."""
        return not (self._connection.is_closed or self.channel.is_closed)

    async def ready(self) -> None:
        """Waits while the broker blocks publishers (memory or disk alarm)."""
        await self._connection.ready()

    async def close(self) -> None:
        """Closes, whatever is on the way; never raises, never hangs."""
        self.channel.doubt()
        try:
            async with asyncio.timeout(5):
                await self._connection.close()
        except Exception:  # noqa: S110 - it is being thrown away
            pass
