"""One service over a database of its own, without a broker: commands, events in, events out, and HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from typing import TypeVar
from uuid import UUID, uuid4

import httpx
from fastapi import FastAPI
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from broker import Envelope, Service, Settings, clock
from broker._batch import BatchProcessor
from broker._context import uuid7
from broker._database import Database, engine_for
from broker._delivery import Delivery
from broker._failures import Failures
from broker._http import application
from broker._invocation import Invocation
from broker._replica_processor import ReplicaProcessor, replica_fed_by
from broker._retry import RetryLoop
from broker._tables import failed_message, outbox
from broker._tokens import issue_token, key_set_of, new_key
from broker.testing.scratch import Databases
from contracts.event import Event, StateEvent
from tests.waiting import until

KEY = new_key()
SETTINGS = Settings(database_url="", amqp_url="", key_set=key_set_of(KEY))
Published = TypeVar("Published", bound=Event)


class Workplace:
    """A service at work. Every `transaction` commits at its end, with what was published in it."""

    def __init__(self, service: Service, engine: AsyncEngine) -> None:
        self.service = service
        self.database = Database(engine, publisher=service.name)

    @cached_property
    def app(self) -> FastAPI:
        """The service's HTTP API, made when it is first asked for."""
        settings = replace(SETTINGS, outside=dict.fromkeys(self.service.secrets, "a secret of the test's"))
        return application(self.service, settings, self.database)

    @classmethod
    @asynccontextmanager
    async def of(cls, service: Service, databases: Databases) -> AsyncIterator[Workplace]:
        """The service over a fresh database with all its migrations."""
        address = await databases(tables=service.tables, migrations=service.migrations)
        workplace = cls(service, engine_for(address))
        try:
            yield workplace
        finally:
            await workplace.database.close()

    def transaction(self) -> AbstractAsyncContextManager[AsyncSession]:
        return self.database.transaction()

    async def published(self, event: type[Published]) -> list[Published]:
        """The events of this class that committed, in the order of their positions."""
        query = select(outbox.c.body).where(outbox.c.type == event.contract.name).order_by(outbox.c.position)
        async with self.database.engine.connect() as connection:
            return [event.read(body, event.contract.version) for body in await connection.scalars(query)]

    async def deliver(self, event: Event, *, id_: UUID | None = None) -> UUID:
        """Hands `event` to every subscription that wants it, each in a transaction of its own; gives the message's id."""
        envelope = envelope_of(event, id_ or uuid4())
        wanted = [subscription for subscription in self.service.subscriptions if subscription.contract(envelope.type)]
        assert wanted, f"{self.service.name} does not subscribe to {envelope.type}"
        for subscription in wanted:
            async with self.transaction() as session:
                await Invocation(self.service, subscription).invoke(session, envelope)
        return envelope.id

    async def arrive(self, event: Event) -> None:
        """The broker delivers `event`: it takes effect, or is kept with its failure."""
        envelope = envelope_of(event, uuid7())
        failures = Failures(self.service)
        for subscription in self.service.subscriptions:
            if subscription.contract(envelope.type):
                kind = ReplicaProcessor if replica_fed_by(self.service, subscription) else BatchProcessor
                await kind(self.database, self.service, subscription, failures).process([delivery_of(envelope)])

    async def kept(self) -> list[tuple[str, str | None]]:
        """The messages that wait or are dead: state, and the key they wait for."""
        query = select(failed_message.c.state, failed_message.c.waits_key).order_by(failed_message.c.position)
        async with self.database.engine.connect() as connection:
            return [(row.state, row.waits_key) for row in await connection.execute(query)]

    async def retry(self) -> None:
        """Tries what is due, until nothing is."""
        loop = RetryLoop(self.database, self.service, Failures(self.service))
        while await loop.run_once():
            pass

    async def somebody_waits(self) -> None:
        """Returns when a transaction waits for a row that another has locked."""
        waiting = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")

        async def does_wait() -> bool:
            async with self.database.engine.connect() as connection:
                return bool(await connection.scalar(waiting))

        await until(does_wait)

    def client(self, *roles: str, at: UUID | None, subject: str = "tester") -> httpx.AsyncClient:
        """A client with a token for these roles at one facility; at every one, when `at` is None."""
        facilities = None if at is None else [at]
        token = issue_token(KEY, subject=subject, roles=roles, facilities=facilities, lifetime=timedelta(minutes=5))
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.AsyncClient(transport=transport, base_url="http://service/api/v1", headers=headers)


def delivery_of(envelope: Envelope) -> Delivery:
    """The envelope as the broker delivers it."""
    properties = envelope.properties(envelope.source)
    return Delivery(
        exchange=envelope.source,
        routing_key=envelope.type,
        tag=1,
        message_id=properties.message_id,
        user_id=envelope.source,
        headers=properties.headers or {},
        body=envelope.body,
    )


def envelope_of(event: Event, id_: UUID) -> Envelope:
    """The message that would bring `event`, under this id."""
    """The event as its publisher sends it."""
    return Envelope(
        id=id_,
        type=event.contract.name,
        source=event.contract.publisher,
        subject=event.subject,
        version=event.contract.version,
        sequence=event.state_version if isinstance(event, StateEvent) else 1,
        flow=uuid4(),
        cause=None,
        trace=None,
        time=clock.now(),
        body=event.model_dump_json().encode(),
    )
