"""One service over a database of its own, without a broker: commands, events in, events out, and HTTP."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import TypeVar
from uuid import UUID, uuid4

import httpx
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import Envelope, Service, Settings, clock
from broker._database import Database, engine_for
from broker._http import application
from broker._invocation import Invocation
from broker._tables import outbox
from broker._tokens import issue_token, key_set_of, new_key
from contracts.event import Event, StateEvent
from tests.scratch import Databases

KEY = new_key()
SETTINGS = Settings(database_url="", amqp_url="", key_set=key_set_of(KEY))
Published = TypeVar("Published", bound=Event)


def migrations_of(service: Service) -> Path:
    """The folder of a service's own migrations."""
    return Path(str(importlib.import_module(f"services.{service.name}").__file__)).parent / "migrations"


class Workplace:
    """A service at work. Every `transaction` commits at its end, with what was published in it."""

    def __init__(self, service: Service, address: str) -> None:
        self.service = service
        self.database = Database(engine_for(address), publisher=service.name)
        self.app = application(service, SETTINGS, self.database)

    @classmethod
    @asynccontextmanager
    async def of(cls, service: Service, databases: Databases) -> AsyncIterator[Workplace]:
        """The service over a fresh database with all its migrations."""
        address = await databases(tables=service.tables, migrations=migrations_of(service))
        workplace = cls(service, address)
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
        envelope = _envelope(event, id_ or uuid4())
        wanted = [subscription for subscription in self.service.subscriptions if subscription.contract(envelope.type)]
        assert wanted, f"{self.service.name} does not subscribe to {envelope.type}"
        for subscription in wanted:
            async with self.transaction() as session:
                await Invocation(self.service, subscription).invoke(session, envelope)
        return envelope.id

    def client(self, *roles: str, at: UUID | None) -> httpx.AsyncClient:
        """A client with a token for these roles at one facility; at every one, when `at` is None."""
        facilities = None if at is None else [at]
        token = issue_token(KEY, subject="tester", roles=roles, facilities=facilities, lifetime=timedelta(minutes=5))
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.AsyncClient(transport=transport, base_url="http://service/api/v1", headers=headers)


def _envelope(event: Event, id_: UUID) -> Envelope:
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
