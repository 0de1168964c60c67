"""A small service whose handler fails as it is told, for the tests of failing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import ModuleType
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Identity, Integer, MetaData, Table, Text, Uuid, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from broker._acting import ActionLoop
from broker._actions import Action, Asker, Pace, Verb, begin, look
from broker._context import uuid7
from broker._database import Database, engine_for
from broker._dead_letters import Filter
from broker._delivery import Delivery
from broker._envelope import Envelope
from broker._failures import Failures
from broker._inbox import take
from broker._replay import Outcome, Retrier
from broker._retry import RetryLoop
from broker._service import Service
from broker._settings import Settings
from broker._subscriptions import OnFailure, Subscription, on
from broker._tables import failed_message, held_key
from contracts.event import Event

ASKER = Asker("amani", "the cause is repaired")
SETTINGS = Settings(database_url="postgresql://nobody@127.0.0.1:1/nothing", amqp_url="amqp://nobody@127.0.0.1:1/")

tables = MetaData()
effect = Table(
    "effect",
    tables,
    Column("place", Integer, Identity(), primary_key=True),
    Column("id", Uuid, nullable=False),
    Column("key", Text, nullable=False),
    Column("number", Integer, nullable=False),
)


class Sold(Event, name="shop.sold", version=2, key="item", publisher="shop"):
    """Something was sold."""

    item: str
    number: int


class Counted(Event, name="desk.counted", key="item", publisher="desk"):
    """The desk counted what was sold."""

    item: str


Behaviour = Callable[[Sold, AsyncSession], Awaitable[None]]


@dataclass
class Desk:
    """The service `desk`, its database, and what its handler does with each number: nothing but the effect by default."""

    database: Database
    service: Service
    failures: Failures
    retrier: Retrier
    loop: RetryLoop
    actions: ActionLoop
    behaviour: dict[int, Behaviour] = field(default_factory=dict)

    @property
    def subscription(self) -> Subscription:
        return self.service.subscriptions[0]

    def message(self, key: str, number: int, *, version: int = 2, id_: UUID | None = None) -> tuple[Delivery, Envelope]:
        """A delivery of `shop.sold`."""
        envelope = Envelope(
            id=id_ or uuid7(), type="shop.sold", source="shop", subject=key, version=version, sequence=number, flow=uuid7(),
            cause=None, trace=None, time=datetime.now(UTC), body=Sold(item=key, number=number).model_dump_json().encode(),
        )  # fmt: skip
        return delivery_of(envelope), envelope

    async def fail(self, key: str, number: int, exception: Exception, *, version: int = 2, attempts: int = 1) -> int:
        """Records a message as failed; gives its position."""
        delivery, envelope = self.message(key, number, version=version)
        async with self.database.transaction() as session:
            await self.failures.record(session, self.subscription, delivery, envelope, exception, attempts=attempts)
        return int((await self.rows(id=envelope.id))[0].position)

    async def hold(self, key: str, number: int) -> int:
        """Lays a message behind the others of its key; gives its position."""
        delivery, envelope = self.message(key, number)
        async with self.database.transaction() as session:
            await self.failures.hold(session, self.subscription, delivery, envelope)
        return int((await self.rows(id=envelope.id))[0].position)

    async def consume(self, delivery: Delivery, envelope: Envelope) -> str:
        """What a consumer does with one message, as far as failing is concerned; says what came of it."""
        async with self.database.lent() as session:
            taken = await take(session, self.subscription.name, [envelope], hold=self.subscription.on_failure == "hold")
            if taken.held:
                await self.failures.hold(session, self.subscription, delivery, envelope)
                await session.settle()
                return "held"
            if not taken.free:
                return "known"
            event = Sold.read(envelope.body, envelope.version)
            await self.subscription.handler(event, session, envelope)
            await session.settle()
            return "done"

    async def run(self) -> None:
        """Rounds of the retry loop until nothing is due."""
        while await self.loop.run_once():
            pass

    async def retry(self, position: int) -> Outcome:
        return await self.retrier.retry(position)

    async def begin(self, verb: Verb, pace: Pace | None = None, asker: Asker = ASKER, **wanted: Any) -> Action:
        """Asks for something to be done about messages that are like that."""
        async with self.database.transaction() as session:
            return await begin(session, verb, Filter(**wanted), asker, pace=pace)

    async def act(self, verb: Verb, pace: Pace | None = None, **wanted: Any) -> Action:
        """Has something done about messages; gives the action as it ended."""
        action = await self.begin(verb, pace, **wanted)
        assert await self.actions.carry_out(action.id)
        return await self.look(action.id)

    async def look(self, id_: UUID) -> Action:
        """An action as it stands."""
        async with self.database.transaction() as session:
            found = await look(session, id_)
        assert found is not None
        return found

    async def rows(self, **equal: object) -> list[Any]:
        """The failed messages, in order."""
        query = select(failed_message).order_by(failed_message.c.position)
        for name, value in equal.items():
            query = query.where(failed_message.c[name] == value)
        async with self.database.transaction() as session:
            return list((await session.execute(query)).all())

    async def states(self, key: str) -> list[str]:
        return [row.state for row in await self.rows(key=key)]

    async def effects(self, key: str) -> list[int]:
        """The numbers that took effect, in order."""
        async with self.database.transaction() as session:
            return list(await session.scalars(select(effect.c.number).where(effect.c.key == key).order_by(effect.c.place)))

    async def count(self, table: Table) -> int:
        async with self.database.transaction() as session:
            return len((await session.execute(select(table))).all())

    async def held_keys(self) -> int:
        return await self.count(held_key)

    async def blocked(self, waiting: int = 1) -> None:
        """Returns when `waiting` sessions of this database wait for a lock: the signal that a race is on."""
        query = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
        async with asyncio.timeout(20), self.database.engine.connect() as connection:
            while ((await connection.execute(query)).scalar() or 0) < waiting:
                await connection.rollback()


def delivery_of(envelope: Envelope) -> Delivery:
    """The envelope as the broker delivers it."""
    properties = envelope.properties("shop")
    return Delivery(
        exchange=envelope.source,
        routing_key=envelope.type,
        tag=1,
        message_id=properties.message_id,
        user_id="shop",
        headers=properties.headers or {},
        body=envelope.body,
    )


async def make_desk(url: str, *, on_failure: OnFailure = "hold", formerly: tuple[str, ...] = (), name: str = "count") -> Desk:
    """The desk on the database at `url`, which has the backbone's tables."""
    behaviour: dict[int, Behaviour] = {}

    async def count(event: Sold, session: AsyncSession, envelope: Envelope) -> None:
        if event.number in behaviour:
            await behaviour[event.number](event, session)
        await session.execute(insert(effect).values(id=envelope.id, key=event.item, number=event.number))

    handlers = ModuleType("desk_handlers")
    count.__module__ = handlers.__name__
    handlers.count = on(Sold, name=name, on_failure=on_failure, formerly=formerly)(count)  # type: ignore[attr-defined]
    contracts = ModuleType("desk_contracts")
    service = Service(name="desk", port=0, tables=tables, handlers=handlers, contracts=contracts)
    database = Database(engine_for(url), "desk")
    async with database.engine.begin() as connection:
        await connection.run_sync(tables.create_all)
    failures = Failures(service)
    retrier = Retrier(database, service, failures)
    actions = ActionLoop(retrier)
    return Desk(database, service, failures, retrier, RetryLoop(database, service, failures), actions, behaviour)


def raising(*exceptions: Exception) -> Behaviour:
    """Raises these, one per call, and then no more."""
    left = list(exceptions)

    async def behave(event: Sold, session: AsyncSession) -> None:
        if left:
            raise left.pop(0)

    return behave
