"""A batch of a replica's deliveries: only the newest state of each key is written, in one statement for all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from broker import _inbox as inbox
from broker._batch import BatchProcessor, Calls, Effect, Failures, Observer
from broker._database import Database, LentSession
from broker._reading import Readable
from broker._replicas import Replica
from broker._service import Service
from broker._subscriptions import Subscription
from broker._upsert import Arrived, upsert
from broker.errors import DeclarationError
from contracts.event import StateEvent


def replica_fed_by(service: Service, subscription: Subscription) -> type[Replica[Any]] | None:
    """The replica that a subscription feeds; None when it has a handler of the service's own."""
    return next((replica for replica in service.replicated if replica.subscription() == subscription), None)


class ReplicaProcessor(BatchProcessor):
    """Gives a replica its deliveries. What cannot be handled is kept and holds nothing: the next state of its key replaces it.

    Raises DeclarationError when the subscription feeds no replica of the service.
    """

    def __init__(
        self,
        database: Database,
        service: Service,
        subscription: Subscription,
        failures: Failures,
        *,
        observe: Observer | None = None,
    ) -> None:
        super().__init__(database, service, subscription, failures, observe=observe)
        replica = replica_fed_by(service, subscription)
        if replica is None:
            raise DeclarationError(f"{service.queue(subscription)} feeds no replica of {service.name}")
        self.replica = replica

    async def _handle(self, session: LentSession, messages: Sequence[Readable], calls: Calls) -> Effect:
        envelopes = [message.envelope for message in messages]
        taken = await inbox.take(session, self.subscription.name, envelopes, hold=False)
        new = [message for message in messages if message.envelope.id in taken.free]
        woken = await upsert(session, self.replica, [Arrived(cast("StateEvent", each.event), each.envelope) for each in new])
        handled = tuple(message.envelope for message in new)
        return Effect(handled=handled, duplicates=len(messages) - len(handled), woken=woken)
