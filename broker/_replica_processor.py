"""A batch of a replica's deliveries: only the newest state of each key is written, in one statement for all."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, cast

from broker import _inbox as inbox
from broker._batch import BatchProcessor, Calls, Effect, Failures, Observer
from broker._context import Cause, caused_by
from broker._crash_points import CrashPoint
from broker._database import Database, LentSession
from broker._delivery import Delivery
from broker._envelope import ADDRESSED
from broker._reading import Readable, without_erased
from broker._replica_runs import take_answer
from broker._replicas import Replica
from broker._service import Service
from broker._subscriptions import Subscription
from broker._upsert import Arrived, upsert
from broker.errors import DeclarationError
from contracts.backbone import ReplicaStates
from contracts.event import StateEvent


def replica_fed_by(service: Service, subscription: Subscription) -> type[Replica[Any]] | None:
    """The replica that a subscription feeds; None when it has a handler of the service's own."""
    return next((replica for replica in service.replicated if replica.subscription() == subscription), None)


class ReplicaProcessor(BatchProcessor):
    """Gives a replica its deliveries: live states, and answers to what it asks its owner.

    What cannot be handled is kept and holds nothing: the next state of its key replaces it.

    Raises DeclarationError when the subscription feeds no replica of the service.
    """

    handled, committed = CrashPoint.REPLICA_WRITTEN, CrashPoint.REPLICA_COMMITTED

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

    async def process(self, deliveries: Sequence[Delivery]) -> None:
        """See Processor. An answer is a transaction of its own: what it asks its owner next is on its way meanwhile."""
        for is_answer, run in groupby(deliveries, lambda each: each.routing_key.startswith(ADDRESSED)):
            if not is_answer:
                await super().process(list(run))
                continue
            for each in run:
                await super().process([each])

    async def _handle(self, session: LentSession, messages: Sequence[Readable], calls: Calls) -> Effect:
        messages = await without_erased(session, self._bodies, messages, self.invocation)
        envelopes = [message.envelope for message in messages]
        taken = await inbox.take(session, self.subscription.name, envelopes, hold=False)
        new = [message for message in messages if message.envelope.id in taken.free]
        woken = 0
        for is_answer, run in groupby(new, lambda message: isinstance(message.event, ReplicaStates)):
            woken += await (self._take_answers if is_answer else self._take_states)(session, list(run))
        handled = tuple(message.envelope for message in new)
        return Effect(handled=handled, duplicates=len(messages) - len(handled), woken=woken)

    async def _take_states(self, session: LentSession, messages: Sequence[Readable]) -> int:
        arrived = [Arrived.by(message.envelope, cast("StateEvent", message.event)) for message in messages]
        return await upsert(session, self.replica, arrived)

    async def _take_answers(self, session: LentSession, messages: Sequence[Readable]) -> int:
        woken = 0
        for message in messages:
            envelope = message.envelope
            with caused_by(Cause(flow=envelope.flow, message=envelope.id, trace=envelope.trace)):
                woken += await take_answer(session, self.replica, cast("ReplicaStates", message.event), envelope)
        return woken
