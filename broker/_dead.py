"""The drain of `<service>.dead`: what the broker itself gave up is taken in among the failed messages.

Nothing stays in that queue, so that a person finds all that failed in one place, with its reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import aiormq
from aiormq.abc import AbstractChannel, AbstractConnection

from broker._crash_points import CrashPoint, passing
from broker._database import Database
from broker._delivery import Delivery
from broker._envelope import Envelope
from broker._failures import Failures, lock_keys
from broker._loop import Loop
from broker._service import Service
from broker._settings import Settings
from broker._verdicts import classify
from broker.errors import Newer, Permanent

UNKNOWN = "unknown"
"""The subscription of a message in the dead queue that does not say which queue it died in."""


class GivenUp(Permanent):
    """The broker gave the message up."""


class DeadDrain(Loop):
    """Moves the messages of `<service>.dead` into `failed_message`, each in a transaction before it is acknowledged.

    A message that had its effect, or is kept already, is dropped: somebody shovelled, or the broker delivered it twice.
    """

    def __init__(
        self, database: Database, service: Service, settings: Settings, failures: Failures, *, interval: float = 5.0
    ) -> None:
        super().__init__(f"{service.name}.dead drain", interval=interval)
        self._database = database
        self._service = service
        self._amqp_url = settings.amqp_url
        self._failures = failures
        self._subscriptions = {
            name: subscription for subscription in service.subscriptions for name in (subscription.name, *subscription.formerly)
        }
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None

    async def run_once(self) -> bool:
        """Empties the queue, or stops between two messages when asked to; False, since nothing is left then."""
        await self.drain()
        return False

    async def drain(self) -> int:
        """Takes in all that is there; says how many. After any failure the message in hand is back in the queue."""
        taken = 0
        try:
            channel = await self._open()
            while not self.stopping:
                message = await channel.basic_get(self._service.dead_queue)
                if message.delivery_tag is None:
                    break
                await self.take_in(Delivery.received(message))
                await channel.basic_ack(message.delivery_tag)
                passing(CrashPoint.GIVEN_UP_ACKNOWLEDGED)
                taken += 1
        except BaseException:
            await self.close()
            raise
        return taken

    async def take_in(self, dead: Delivery) -> None:
        """Keeps one message as it was before it died, unless it is known."""
        delivery, queue, reason = before_death(dead)
        name = queue.removeprefix(f"{self._service.name}.") if queue else UNKNOWN
        failure = GivenUp(f"RabbitMQ gave it up in {queue or 'an unknown queue'}: {reason}")
        subscription = self._subscriptions.get(name)
        async with self._database.transaction(CrashPoint.GIVEN_UP_KEPT) as session:
            if subscription is None:
                await lock_keys(session, name, [""])
                await self._failures.keep(session, name, delivery, None, classify(failure), attempts=0)
                self._failures.tell(name, None, classify(failure), 0)
                return
            try:
                envelope: Envelope | None = self._believed(delivery, name)
            except Permanent as unbelievable:
                envelope, failure = None, GivenUp(f"{failure}; {unbelievable}")
            if envelope is None or not await self._failures.known(session, subscription, [envelope.id]):
                await self._failures.record(session, subscription, delivery, envelope, failure, attempts=0)

    def _believed(self, delivery: Delivery, name: str) -> Envelope:
        """The envelope, where the way that the message came bears it out. Raises Permanent."""
        envelope = delivery.envelope()
        try:
            delivery.check(envelope, self._subscriptions[name], f"{self._service.name}.{name}")
        except Newer:
            return envelope
        return envelope

    async def _open(self) -> AbstractChannel:
        if self._connection is None or self._connection.is_closed:
            self._connection = await aiormq.connect(self._amqp_url)
        if self._channel is None or self._channel.is_closed:
            self._channel = await self._connection.channel()
        return self._channel

    async def close(self) -> None:
        """Closes the connection; what was not acknowledged returns to the queue."""
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None and not connection.is_closed:
            await connection.close()


def before_death(dead: Delivery) -> tuple[Delivery, str, str]:
    """The delivery as it was, the queue it died in (empty when it does not say) and the broker's reason.

    All is read from the first entry of `x-death`, which the broker wrote last; the others may be the sender's invention.
    """
    deaths = dead.headers.get("x-death")
    last = deaths[0] if isinstance(deaths, list) and deaths else None
    if not isinstance(last, Mapping):
        return dead, "", "it has no x-death header, so somebody put it there"
    keys = last.get("routing-keys")
    headers = {
        name: value for name, value in dead.headers.items() if not name.startswith(("x-death", "x-first-death", "x-last"))
    }
    alive = replace(
        dead,
        exchange=_words(last.get("exchange")),
        routing_key=_words(keys[0]) if isinstance(keys, list) and keys else "",
        headers=headers,
    )
    return alive, _words(last.get("queue")), _words(last.get("reason"))


def _words(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")
