"""From deliveries to events: what can be handled, and what cannot and why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from broker._delivery import Delivery, Forged
from broker._envelope import VERSION, Envelope
from broker._erased import erased_among
from broker._invocation import Invocation
from broker._persons import Bodies, is_erasable
from contracts.event import Event


@dataclass(frozen=True, slots=True)
class Readable:
    """A delivery that holds an event of its subscription."""

    delivery: Delivery
    envelope: Envelope
    event: Event

    @property
    def id(self) -> UUID | None:
        """The message's id."""
        return self.envelope.id


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A delivery that no handler can be given, and why. Without an envelope nothing in it is believed, not even its id."""

    delivery: Delivery
    envelope: Envelope | None
    reason: Exception

    @property
    def id(self) -> UUID | None:
        """The message's id, if it can be believed: a forged one may bear that of a true message."""
        return self.envelope.id if self.envelope else None


def read(deliveries: Iterable[Delivery], invocation: Invocation) -> list[Readable | Unreadable]:
    """The first delivery of each id, in queue order; those without a believable id all stay."""
    first: dict[object, Readable | Unreadable] = {}
    for place, delivery in enumerate(deliveries):
        message = read_one(delivery, invocation)
        first.setdefault(message.id or place, message)
    return list(first.values())


def read_one(delivery: Delivery, invocation: Invocation) -> Readable | Unreadable:
    """What one delivery holds."""
    envelope = None
    try:
        envelope = delivery.envelope()
        delivery.check(envelope, invocation.subscription, invocation.service.queue(invocation.subscription))
        return Readable(delivery, envelope, invocation.decode(envelope))
    except Forged as forged:
        return Unreadable(delivery, None, forged)
    except Exception as reason:
        return Unreadable(delivery, envelope, reason)


async def without_erased(
    session: AsyncSession, bodies: Bodies, messages: Sequence[Readable], invocation: Invocation
) -> Sequence[Readable]:
    """The messages as they may be handled; one of an older version is brought up to this one when something goes from it."""
    if not is_erasable(invocation.subscription.events):
        return messages
    whose = [bodies.persons_of(message.event, message.envelope.body) for message in messages]
    erased = await erased_among(session, frozenset().union(*whose))

    def fit(message: Readable) -> Readable:
        contract, written = message.event.contract, message.event.model_dump_json().encode()
        body = bodies.without(contract.name, contract.version, written, erased)
        envelope = replace(message.envelope, body=body, version=contract.version)
        headers = {**message.delivery.headers, VERSION: str(contract.version)}
        return Readable(replace(message.delivery, body=body, headers=headers), envelope, invocation.decode(envelope))

    return [fit(message) if persons & erased else message for message, persons in zip(messages, whose, strict=True)]
