"""A subscription renamed while events are in flight: one effect each, in order, whichever queue they are in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import uuid5

import aiormq
import pytest
from aiormq.abc import AbstractChannel, AbstractConnection
from sqlalchemy import text

from broker import Envelope, Service, Settings, on
from broker._alignment import apply, prune
from broker._batch import BatchProcessor
from broker._context import uuid7
from broker._database import Database, engine_for
from broker._delivery import Delivery
from broker._depth import depth_of
from broker._failures import Failures
from broker._handover import Handover
from broker._intake import Intake
from broker._management import Management
from broker._platform import vhost_of
from broker._subscriptions import DECLARED, Subscription
from broker._topology import Topology
from broker._wire import Wire
from broker.servers import Servers
from tests.broker.small_platform import ResultAvailable, billing, lab

RUN = uuid7()
KEY = uuid5(RUN, "the key of all")


@dataclass(slots=True)
class House:
    """Billing before and after its subscription `charge` was renamed to `bill`, and what took effect."""

    database: Database
    connection: AbstractConnection
    channel: AbstractChannel
    management: Management
    settings: Settings
    effects: list[int] = field(default_factory=list)

    def service(self, name: str, formerly: tuple[str, ...] = ()) -> Service:
        """Billing with this name for its subscription."""

        async def react(event: ResultAvailable, envelope: Envelope) -> None:
            self.effects.append(envelope.sequence)

        return billing(getattr(on(ResultAvailable, name=name, formerly=formerly)(react), DECLARED))

    async def send(self, number: int, routing_key: str = "lab.result.available") -> None:
        """The lab's event with this number."""
        envelope = Envelope(
            id=uuid5(RUN, str(number)), type="lab.result.available", source="lab", subject=str(KEY), version=1,
            sequence=number, flow=RUN, cause=None, trace=None, time=datetime.now(UTC),
            body=ResultAvailable(result_id=KEY).model_dump_json().encode(),
        )  # fmt: skip
        properties = envelope.properties("guest")
        properties.user_id = None
        await self.channel.basic_publish(envelope.body, exchange="lab", routing_key=routing_key, properties=properties)

    async def apply(self, service: Service) -> None:
        """Brings the virtual host in line."""
        await apply(self.management, Topology.of([lab(), service], prefix="unprovisioned"))

    def processor(self, service: Service, as_: Subscription | None = None) -> BatchProcessor:
        return BatchProcessor(self.database, service, as_ or service.subscriptions[0], Failures(service))

    def handover(self, service: Service) -> Handover:
        """What a process of this code does first."""
        return Handover(
            self.database, service, service.subscriptions[0], self.settings, lambda each: self.processor(service, each)
        )

    async def take_all(self, service: Service, count: int) -> None:
        """Handles the `count` messages of the subscription's own queue."""
        intake = await Intake.open(self.connection, service.queue(service.subscriptions[0]), prefetch=count)
        taken: list[Delivery] = []
        async with asyncio.timeout(20):
            while len(taken) < count:
                taken += await intake.next(count, 1 << 20)
        await self.processor(service).process(taken)
        await intake.acknowledge(taken[-1])
        await intake.close()


@pytest.fixture
async def house(
    servers: Servers, vhost: Callable[[], Awaitable[str]], database: Callable[[], Awaitable[str]]
) -> AsyncIterator[House]:
    url, database_url = await vhost(), await database()
    engine = engine_for(database_url)
    connection = await aiormq.connect(url, transport_factory=Wire())
    async with Management(servers.management_url, vhost_of(url)) as management:
        settings = Settings(database_url=database_url, amqp_url=url)
        yield House(Database(engine, "billing"), connection, await connection.channel(), management, settings)
    await connection.close()
    await engine.dispose()


async def test_every_event_has_one_effect_in_order(house: House) -> None:
    """Events before, in the middle of and after the rename take effect once and in order, and the old queue can be pruned."""
    old, new = house.service("charge"), house.service("bill", ("charge",))
    await house.apply(old)
    for number in range(5):
        await house.send(number)
    await house.apply(new)
    await house.send(4, "to.billing.charge")  # What apply's moment between binding and unbinding does: in both queues.
    for number in range(5, 10):
        await house.send(number)
    await house.handover(new).complete(house.connection)
    assert house.effects == list(range(5))
    await house.take_all(new, 6)
    assert house.effects == list(range(10))
    pruned = await prune(house.management, Topology.of([lab(), new], prefix="unprovisioned"), house.settings.amqp_url)
    assert "queue billing.charge" in {str(item) for item in pruned.removed}


async def test_nothing_is_taken_while_old_code_holds_messages(house: House) -> None:
    """While old code has the old queue, the new queue is not begun; what it leaves is handled, what it did is not repeated."""
    old, new = house.service("charge"), house.service("bill", ("charge",))
    await house.apply(old)
    for number in range(4):
        await house.send(number)
    intake = await Intake.open(house.connection, "billing.charge", prefetch=10)
    first = [one for _ in range(2) for one in await intake.next(1, 1)]
    await house.apply(new)
    handing_over = asyncio.create_task(house.handover(new).complete(house.connection))
    await house.processor(old).process(first)
    assert not handing_over.done()
    assert house.effects == [0, 1]
    await intake.close()
    async with asyncio.timeout(20):
        await handing_over
    assert house.effects == [0, 1, 2, 3]


async def test_what_is_remembered_follows_at_the_end(house: House) -> None:
    """After the hand-over the inbox knows the events under the new name alone."""
    old, new = house.service("charge"), house.service("bill", ("charge",))
    await house.apply(old)
    await house.send(1)
    await house.take_all(old, 1)
    await house.send(2)
    await house.apply(new)
    await house.handover(new).complete(house.connection)
    async with house.database.transaction() as session:
        names = (await session.execute(text("SELECT subscription, count(*) FROM backbone.inbox GROUP BY 1"))).all()
    assert [tuple(row) for row in names] == [("bill", 2)]


async def test_two_copies_hand_over_at_once(house: House) -> None:
    """Two copies of the new code both come to an end, and together give one effect each."""
    old, new = house.service("charge"), house.service("bill", ("charge",))
    await house.apply(old)
    for number in range(20):
        await house.send(number)
    await house.apply(new)
    async with asyncio.timeout(20):
        await asyncio.gather(*(house.handover(new).complete(house.connection) for _ in range(2)))
    assert house.effects == list(range(20))
    depth = await depth_of(house.connection, "billing.charge")
    assert depth is not None
    assert depth.abandoned


async def test_a_pruned_queue_is_over(house: House) -> None:
    """When the old queue is gone the hand-over ends at once."""
    new = house.service("bill", ("charge",))
    await house.apply(new)
    handover = house.handover(new)
    await handover.complete(house.connection)
    assert handover.is_over
