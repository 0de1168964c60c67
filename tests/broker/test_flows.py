"""The flow kit: what the databases of the services say about flows that are over, lost events and broken order."""

from __future__ import annotations

import asyncio
import types
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from broker import Service, clock, on, publish, schedule
from broker._context import Cause, caused_by, uuid7
from broker._database import Database, engine_for
from broker._flows import FlowOpen, Flows
from broker._sight import SINCE
from broker.testing.scratch import Databases
from contracts.event import Event
from tests.waiting import until


class MealOrdered(Event, name="meal.ordered", version=1, key="meal_id", publisher="kitchen"):
    """A meal was ordered."""

    meal_id: UUID


handlers = types.ModuleType("handlers_under_test")


@on(MealOrdered, formerly=("count_it",))
async def count_meal(event: MealOrdered) -> None:
    """Holds keys."""


@on(MealOrdered, on_failure="pass")
async def advertise(event: MealOrdered) -> None:
    """Lets later messages go on."""


for handler in (count_meal, advertise):
    handler.__module__ = handlers.__name__
    setattr(handlers, handler.__name__, handler)

kitchen_contracts = types.ModuleType("kitchen_contracts_under_test")
kitchen = Service(name="kitchen", port=0, contracts=kitchen_contracts)
office = Service(name="office", port=0, contracts=types.ModuleType("none_under_test"), handlers=handlers)


@pytest.fixture
async def databases(database: Databases) -> AsyncIterator[dict[Service, Database]]:
    """The databases of a publisher and a subscriber."""
    made = {service: Database(engine_for(await database()), service.name) for service in (kitchen, office)}
    yield made
    for each in made.values():
        await each.close()


@pytest.fixture
def flows(databases: dict[Service, Database]) -> Flows:
    """The kit over both."""
    return Flows(databases)


@pytest.fixture
def act(databases: dict[Service, Database]) -> Acts:
    """What services would do."""
    return Acts(databases)


class Acts:
    """What services would do to their databases, one step at a time."""

    def __init__(self, databases: dict[Service, Database]) -> None:
        self.databases = databases

    async def run(self, service: Service, statement: str, **parameters: Any) -> None:
        """One statement in a service's database."""
        async with self.databases[service].engine.begin() as connection:
            await connection.execute(text(statement), parameters)

    async def finds(self, service: Service, query: str, **parameters: Any) -> bool:
        """What a service's database answers."""
        async with self.databases[service].engine.connect() as connection:
            return bool(await connection.scalar(text(query), parameters))

    async def order(self, flow: UUID, key: UUID | None = None) -> None:
        """The kitchen publishes."""
        with caused_by(Cause(flow)):
            async with self.databases[kitchen].transaction() as session:
                publish(session, MealOrdered(meal_id=key or uuid7()))

    async def relay(self, *queues: str) -> None:
        """The kitchen's relay sends everything, when these queues are bound."""
        await self.run(
            kitchen,
            """
            WITH gone AS (DELETE FROM backbone.outbox RETURNING id, position, type, key, sequence, flow, cause, occurred_at)
            INSERT INTO backbone.published (id, position, type, key, sequence, flow, cause, occurred_at, subscriptions)
            SELECT gone.*, :queues FROM gone
            """,
            queues=list(queues),
        )

    async def journal(self) -> list[Any]:
        """What was relayed."""
        async with self.databases[kitchen].engine.connect() as connection:
            return list(await connection.execute(text("SELECT id, key, flow FROM backbone.published ORDER BY position")))

    async def handle(self, subscription: str, *events: Any) -> None:
        """The office's subscription handles these, in this order."""
        for event in events or await self.journal():
            await self.run(
                office,
                "INSERT INTO backbone.inbox (id, subscription, key, flow) VALUES (:id, :subscription, :key, :flow)",
                subscription=subscription,
                **event._mapping,
            )

    async def fail(self, subscription: str, state: str) -> None:
        """The office's subscription cannot handle what was relayed."""
        for event in await self.journal():
            await self.run(
                office,
                """
                INSERT INTO backbone.failed_message (subscription, id, state, type, version, key, sequence, flow, exchange,
                    routing_key, properties, body, error, reason, attempts, first_failed_at, last_failed_at)
                VALUES (:subscription, :id, :state, 'meal.ordered', 1, :key, 1, :flow, 'kitchen', '', '{}', '', 'E', '', 1,
                    now(), now())
                """,
                subscription=subscription,
                state=state,
                **event._mapping,
            )


async def test_flow_from_start_to_end(flows: Flows, act: Acts) -> None:
    """A flow is under way while its event is in the outbox or on its way to any subscription bound, and then over."""
    flow = uuid7()
    assert await flows.is_over(flow)
    await act.order(flow)
    assert await flows.open(flow) == {"in the outbox": 1}
    await act.relay("office.count_meal", "office.advertise")
    assert await flows.open(flow) == {"on their way to a subscription": 2}
    await act.handle("count_meal")
    assert await flows.open(flow) == {"on their way to a subscription": 1}
    await act.handle("advertise")
    assert await flows.is_over(flow)
    assert await flows.is_over()


async def test_other_flows_do_not_count(flows: Flows, act: Acts) -> None:
    """What other flows do keeps no flow open, but all of them are not over."""
    await act.order(uuid7())
    assert await flows.is_over(uuid7())
    assert not await flows.is_over()


@pytest.mark.parametrize(("state", "over"), [("retrying", False), ("dead", True), ("waiting", True), ("held", True)])
async def test_failed_messages(flows: Flows, act: Acts, state: str, over: bool) -> None:
    """A flow is not over while a message of it is retried; dead and waiting messages move no more."""
    flow = uuid7()
    await act.order(flow)
    await act.relay("office.count_meal")
    await act.fail("count_meal", state)
    assert await flows.is_over(flow) is over
    assert await flows.lost() == []


async def test_schedule_counts_when_due(flows: Flows, act: Acts) -> None:
    """A scheduled event keeps its flow open from the time when it is due."""
    flow = uuid7()
    with caused_by(Cause(flow)):
        async with act.databases[kitchen].transaction() as session:
            await schedule(session, MealOrdered(meal_id=uuid7()), at=clock.now() + timedelta(days=1), name="later")
    assert await flows.is_over(flow)
    await flows.move_clock(timedelta(days=2))
    assert await flows.open(flow) == {"due": 1}


@pytest.mark.parametrize(
    ("state", "due", "over"),
    [("sending", "now", False), ("received", "now", False), ("unknown", "infinity", True), ("answered", "now", True)],
)
async def test_calls_outside(flows: Flows, act: Acts, state: str, due: str, over: bool) -> None:
    """A flow is not over while a call of it is; one left unknown for a person moves no more."""
    flow = uuid7()
    await act.run(
        office,
        f"""
        INSERT INTO backbone.call (id, name, key, state, request, due_at, flow, created_at)
        VALUES (:id, 'ring', 'k', :state, '{{}}', '{due}', :flow, now())
        """,
        id=uuid7(),
        state=state,
        flow=flow,
    )
    assert await flows.is_over(flow) is over


async def test_settled(flows: Flows, act: Acts) -> None:
    """`settled` returns when the flow comes to its end, and says in time what it still waits for."""
    flow = uuid7()
    await act.order(flow)
    with pytest.raises(FlowOpen, match="1 in the outbox"):
        await flows.settled(flow, seconds=0.05)
    waiting = asyncio.create_task(flows.settled(flow))
    await act.relay("office.count_meal")
    await act.handle("count_meal")
    await waiting


async def test_what_was_over_is_not_looked_at_again(flows: Flows, act: Acts) -> None:
    """Of what was sent before all was over nothing is read, not even that it is undone again; of what came later everything."""
    await act.order(uuid7())
    await act.relay("office.count_meal")
    await act.handle("count_meal")

    async def is_behind() -> bool:
        """Not while a transaction goes on that somebody began before, in whatever database of the server."""
        await flows.settled()
        return await act.finds(kitchen, f"SELECT NOT ({SINCE}) FROM backbone.published", since=flows._over[kitchen.name])

    await until(is_behind)
    await act.run(office, "DELETE FROM backbone.inbox")
    await flows.settled()
    assert len(await flows.lost()) == 1
    await act.order(uuid7())
    await act.relay("office.count_meal")
    with pytest.raises(FlowOpen, match="1 on their way to a subscription"):
        await flows.settled(seconds=0.05)


async def test_what_was_under_way_when_all_was_over_is_looked_at(flows: Flows, act: Acts) -> None:
    """A transaction that had begun, and was seen by nobody, may have sent something since."""
    await act.order(uuid7())
    async with act.databases[kitchen].engine.begin() as connection:
        await connection.execute(text("SELECT pg_current_xact_id()"))
        await act.relay("office.count_meal")
        await act.handle("count_meal")
        await flows.settled()
        await connection.execute(
            text(
                "INSERT INTO backbone.published (id, position, type, key, sequence, flow, occurred_at, subscriptions)"
                " SELECT gen_random_uuid(), 1000, type, key, 2, flow, now(), subscriptions FROM backbone.published"
            )
        )
    with pytest.raises(FlowOpen, match="1 on their way to a subscription"):
        await flows.settled(seconds=0.05)


@pytest.mark.parametrize(
    ("since", "new", "old"),
    [(1000, (1000, 1001, 2**31), (999, 3, 2**32 - 5)), (2**32 - 2, (2**32 - 2, 2**32 - 1, 3, 500), (2**32 - 3, 2**31 + 5))],
)
async def test_transactions_are_later_around_the_circle(
    databases: dict[Service, Database], since: int, new: tuple[int, ...], old: tuple[int, ...]
) -> None:
    """After the last of their ids come the first ones again."""
    query = text(f"SELECT xmin FROM unnest(CAST(:ids AS bigint[])) AS xmin WHERE {SINCE}")
    async with databases[kitchen].engine.connect() as connection:
        found = await connection.scalars(query, {"ids": [*new, *old], "since": since})
        assert set(found) == set(new)


async def test_lost(flows: Flows, act: Acts) -> None:
    """An event is lost for each subscription bound when it was relayed that has neither an effect nor a kept failure."""
    await act.order(uuid7())
    await act.relay("office.count_meal", "office.advertise", "elsewhere.of_no_concern")
    await act.handle("count_meal")
    (lost,) = await flows.lost()
    (event,) = await act.journal()
    assert (lost.id, lost.type, lost.subscription) == (event.id, "meal.ordered", "office.advertise")


async def test_renamed(flows: Flows, act: Acts) -> None:
    """An event relayed to a queue of an earlier name counts for the subscription that has taken it over."""
    await act.order(uuid7())
    await act.relay("office.count_it")
    assert [lost.subscription for lost in await flows.lost()] == ["office.count_meal"]
    await act.handle("count_meal")
    assert await flows.lost() == []


async def test_order(flows: Flows, act: Acts) -> None:
    """Effects of one key out of the order of publishing are found, in subscriptions that hold keys."""
    key, other, flow = uuid7(), uuid7(), uuid7()
    for each in (key, other, key, other):
        await act.order(flow, each)
    await act.relay("office.count_meal", "office.advertise")
    first, second, third, fourth = await act.journal()
    await act.handle("advertise", third, first, second, fourth)
    assert await flows.order_violations() == []
    await act.handle("count_meal", second, third, fourth, first)
    (found,) = await flows.order_violations()
    assert (found.subscription, found.key, found.id, found.after) == ("office.count_meal", str(key), first.id, third.id)
