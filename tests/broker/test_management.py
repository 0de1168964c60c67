"""Applying, telling the difference and pruning, on a real broker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiormq
import httpx
import pytest
from aiormq.abc import AbstractChannel, DeliveredMessage

from broker._alignment import Difference, Item, apply, diff, difference, prune, read
from broker._depth import Depth, depth_of
from broker._management import Management, ManagementError
from broker._platform import vhost_of
from broker._topology import Topology
from broker.servers import Servers
from tests.broker.small_platform import ResultAvailable, billing, charge, lab, service, subscription

BOTH = Topology.of([lab(), billing()], prefix="unprovisioned")
LAB_ALONE = Topology.of([service("lab", events=[ResultAvailable])], prefix="unprovisioned")
RENAMED = Topology.of(
    [lab(), billing(subscription(charge, ResultAvailable, name="bill", formerly=("charge",)))], prefix="unprovisioned"
)


@dataclass(frozen=True, slots=True)
class Broker:
    """A virtual host of its own, seen through the management API and over AMQP."""

    url: str
    management: Management
    channel: AbstractChannel

    async def send(self, exchange: str, routing_key: str, body: bytes = b"{}") -> None:
        """Sends one persistent message, and returns when the broker has it."""
        properties = aiormq.spec.Basic.Properties(delivery_mode=2)
        await self.channel.basic_publish(body, exchange=exchange, routing_key=routing_key, properties=properties)

    async def depth(self, queue: str) -> Depth | None:
        """The queue's depth now."""
        return await depth_of(self.channel.connection, queue)

    async def take(self, queue: str, count: int) -> list[DeliveredMessage]:
        """The next `count` messages, not acknowledged."""
        taken: asyncio.Queue[DeliveredMessage] = asyncio.Queue()
        await self.channel.basic_qos(prefetch_count=count)
        await self.channel.basic_consume(queue, taken.put)
        async with asyncio.timeout(20):
            return [await taken.get() for _ in range(count)]


@pytest.fixture
async def broker(servers: Servers, vhost: Callable[[], Awaitable[str]]) -> AsyncIterator[Broker]:
    """A fresh virtual host."""
    url = await vhost()
    connection = await aiormq.connect(url)
    async with Management(servers.management_url, vhost_of(url)) as management:
        yield Broker(url, management, await connection.channel())
    await connection.close()


def of_kind(items: tuple[Item, ...], kind: str) -> set[str]:
    return {item.name for item in items if item.kind == kind}


def but_accounts(found: Difference) -> list[Item]:
    return [item for item in (*found.missing, *found.different, *found.surplus) if item.kind != "account"]


async def test_after_apply_nothing_differs(broker: Broker) -> None:
    """Apply makes an empty virtual host hold the whole topology, and finds nothing to do the second time."""
    assert but_accounts(await diff(broker.management, BOTH))
    assert await apply(broker.management, BOTH)
    assert not but_accounts(await diff(broker.management, BOTH))
    assert await apply(broker.management, BOTH) == ()


async def test_two_may_apply_at_once(broker: Broker, servers: Servers) -> None:
    """Several that apply the same topology at once all succeed."""
    async with Management(servers.management_url, vhost_of(broker.url)) as other:
        await asyncio.gather(*(apply(each, BOTH) for each in (broker.management, other) * 2))
    assert not but_accounts(await diff(broker.management, BOTH))


async def test_a_large_topology_costs_no_more_requests_than_a_small_one(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is missing is added in one request, whatever there is of it."""
    asked: list[str] = []
    request = broker.management._request

    async def noted(method: str, *path: str, **rest: Any) -> httpx.Response:
        asked.append(f"{method} {path[0]}")
        return await request(method, *path, **rest)

    monkeypatch.setattr(broker.management, "_request", noted)
    await apply(broker.management, BOTH)
    assert [each for each in asked if not each.startswith("GET")] == ["POST definitions"]


async def test_what_rabbitmq_leaves_out_of_an_import_is_refused_aloud(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A queue that somebody made otherwise meanwhile is passed over by an import: apply sees it, and says so."""
    import_definitions = broker.management.import_definitions

    async def late(definitions: dict[str, Any]) -> None:
        await broker.management.put("queues", "lab.release", {"durable": True, "arguments": {"x-queue-type": "quorum"}})
        await import_definitions(definitions)

    monkeypatch.setattr(broker.management, "import_definitions", late)
    with pytest.raises(ManagementError, match="x-single-active-consumer"):
        await apply(broker.management, BOTH)


async def test_what_was_applied_carries_messages(broker: Broker) -> None:
    """An event reaches its subscription's queue by its type, and by the queue's address."""
    await apply(broker.management, BOTH)
    await broker.send("lab", "lab.result.available")
    await broker.send("lab", "to.billing.charge")
    assert [message.routing_key for message in await broker.take("billing.charge", 2)] == [
        "lab.result.available",
        "to.billing.charge",
    ]


async def test_what_the_broker_gives_up_is_in_the_dead_queue(broker: Broker) -> None:
    """A message that is rejected for good arrives in its service's dead queue with the name of its queue."""
    await apply(broker.management, BOTH)
    await broker.send("lab", "lab.result.available", b'"given up"')
    [message] = await broker.take("billing.charge", 1)
    assert message.delivery_tag is not None
    await broker.channel.basic_reject(message.delivery_tag, requeue=False)
    async with asyncio.timeout(20):
        while not (dead := await broker.channel.basic_get("billing.dead")).body:
            await broker.depth("billing.dead")
    assert dead.body == b'"given up"'
    headers: Any = dead.header.properties.headers
    assert headers["x-death"][0]["queue"] == "billing.charge"


async def test_apply_changes_a_policy_that_differs(broker: Broker) -> None:
    """A policy that somebody changed is reported as different, and put right."""
    await apply(broker.management, BOTH)
    changed = {"pattern": r"^lab\.", "apply-to": "queues", "definition": {"delivery-limit": 5}}
    await broker.management.put("policies", "backbone.lab", changed)
    assert of_kind((await diff(broker.management, BOTH)).different, "policy") == {"backbone.lab"}
    await apply(broker.management, BOTH)
    assert not but_accounts(await diff(broker.management, BOTH))


async def test_a_queue_with_other_arguments_is_refused_aloud(broker: Broker) -> None:
    """A queue that is there with other arguments is different, and apply says that it cannot be changed."""
    await broker.management.put("queues", "lab.release", {"durable": True, "arguments": {"x-queue-type": "quorum"}})
    assert of_kind((await diff(broker.management, BOTH)).different, "queue") == {"lab.release"}
    with pytest.raises(ManagementError, match="x-single-active-consumer"):
        await apply(broker.management, BOTH)


async def test_apply_takes_nothing_away(broker: Broker) -> None:
    """What nobody declares any more goes on receiving until it is pruned."""
    await apply(broker.management, BOTH)
    assert await apply(broker.management, LAB_ALONE) == ()
    await broker.send("lab", "lab.result.available")
    assert await broker.depth("billing.charge") == Depth(1, 0)


async def test_prune_removes_what_nobody_declares(broker: Broker) -> None:
    """Undeclared bindings, empty queues, exchanges and policies are gone after prune, and nothing differs any more."""
    await apply(broker.management, BOTH)
    pruned = await prune(broker.management, LAB_ALONE, broker.url)
    assert of_kind(pruned.removed, "queue") == {"billing.charge", "billing.dead", "lab.release"}
    assert of_kind(pruned.removed, "exchange") == {"billing"}
    assert of_kind(pruned.removed, "policy") == {"backbone.billing", "backbone.billing.dead"}
    assert not pruned.kept
    assert not but_accounts(await diff(broker.management, LAB_ALONE))
    assert await prune(broker.management, LAB_ALONE, broker.url) == type(pruned)((), ())


async def test_a_dry_run_of_prune_changes_nothing(broker: Broker) -> None:
    """A dry run names what would go and leaves it."""
    await apply(broker.management, BOTH)
    pruned = await prune(broker.management, LAB_ALONE, broker.url, dry_run=True)
    assert "billing.charge" in of_kind(pruned.removed, "queue")
    assert not but_accounts(await diff(broker.management, BOTH))


async def test_prune_keeps_a_queue_with_messages(broker: Broker) -> None:
    """A queue with a message published a moment ago is unbound and kept, with its policy, and prune says why."""
    await apply(broker.management, BOTH)
    await broker.send("lab", "lab.result.available")
    pruned = await prune(broker.management, LAB_ALONE, broker.url)
    assert [str(item) for item in pruned.kept] == [
        "policy backbone.billing (holds for billing.charge)",
        "queue billing.charge (1 message waits in it)",
    ]
    await broker.send("lab", "lab.result.available")
    assert await broker.depth("billing.charge") == Depth(1, 0)


async def test_prune_keeps_a_queue_whose_messages_are_in_somebodys_hands(broker: Broker) -> None:
    """A queue is not empty while a consumer holds messages that it has not acknowledged."""
    await apply(broker.management, BOTH)
    await broker.send("lab", "lab.result.available")
    await broker.take("billing.charge", 1)
    pruned = await prune(broker.management, LAB_ALONE, broker.url)
    assert [str(item) for item in pruned.kept if item.kind == "queue"] == ["queue billing.charge (somebody consumes it)"]


async def test_prune_leaves_what_is_not_ours(broker: Broker) -> None:
    """Another's policy and a connection's temporary queue, with its binding, are neither surplus nor pruned."""
    await apply(broker.management, LAB_ALONE)
    await broker.management.put("policies", "operators-own", {"pattern": "^nothing$", "definition": {"max-length": 9}})
    temporary = await broker.channel.queue_declare(exclusive=True)
    await broker.channel.queue_bind(str(temporary.queue), "lab", "#")
    assert not but_accounts(await diff(broker.management, LAB_ALONE))
    assert await prune(broker.management, LAB_ALONE, broker.url) == await prune(broker.management, LAB_ALONE, broker.url)
    await broker.send("lab", "anything")
    assert await broker.depth(str(temporary.queue)) == Depth(1, 0)


async def test_a_policy_that_overrules_ours_is_a_difference(broker: Broker) -> None:
    """A queue under somebody's stronger policy has lost its dead letters: diff says so."""
    await apply(broker.management, LAB_ALONE)
    present = await read(broker.management)
    present[Item("queue", "lab.dead")]["policy"] = "operators-own"
    [different] = difference(LAB_ALONE, present).different
    assert str(different) == "queue lab.dead (under policy operators-own, not ours)"


async def test_a_rename_has_every_event_in_order_in_one_queue_or_the_other(broker: Broker) -> None:
    """With events in flight, the old queue then the new one give every event at least once, in order; then prune ends it."""
    await apply(broker.management, BOTH)
    sent = asyncio.Event()
    over = asyncio.Event()

    async def publish() -> int:
        number = 0
        while number < 50 or not over.is_set():
            await broker.send("lab", "lab.result.available", json.dumps(number).encode())
            sent.set()
            number += 1
        return number

    publishing = asyncio.create_task(publish())
    await sent.wait()
    done = await apply(broker.management, RENAMED)
    over.set()
    count = await publishing
    assert "billing.bill" in of_kind(done, "queue")
    old, new = await broker.depth("billing.charge"), await broker.depth("billing.bill")
    assert old is not None
    assert new is not None
    first = [json.loads(message.body) for message in await broker.take("billing.charge", old.messages)]
    second = [json.loads(message.body) for message in await broker.take("billing.bill", new.messages)]
    assert first == list(range(len(first)))
    assert second == list(range(count - len(second), count))
    assert len(first) + len(second) >= count


async def test_a_former_queue_is_kept_until_it_is_empty(broker: Broker) -> None:
    """Prune keeps the old queue of a rename while messages wait in it, and removes it when they were taken."""
    await apply(broker.management, BOTH)
    await broker.send("lab", "lab.result.available")
    await apply(broker.management, RENAMED)
    assert of_kind((await prune(broker.management, RENAMED, broker.url)).kept, "queue") == {"billing.charge"}
    [message] = await broker.take("billing.charge", 1)
    assert message.delivery_tag is not None
    await broker.channel.basic_ack(message.delivery_tag)
    await broker.channel.close()
    assert of_kind((await prune(broker.management, RENAMED, broker.url)).removed, "queue") == {"billing.charge"}


async def test_an_exported_file_makes_the_same_topology(broker: Broker, servers: Servers) -> None:
    """RabbitMQ's own import of the exported definitions leaves nothing for apply to do."""
    vhost = vhost_of(broker.url)
    async with httpx.AsyncClient() as client:
        response = await client.post(f"{servers.management_url}/api/definitions", json=BOTH.definitions(vhost), timeout=30)
    assert response.is_success, response.text
    assert not but_accounts(await diff(broker.management, BOTH))


async def test_a_broker_that_is_not_there_is_one_sentence() -> None:
    """An unreachable management API is an error that names the server, without its password."""
    async with Management("http://guest:secret@127.0.0.1:9", "/") as management:
        with pytest.raises(ManagementError, match=r"127\.0\.0\.1:9 cannot be reached") as raised:
            await diff(management, BOTH)
    assert "secret" not in str(raised.value)


async def test_a_wrong_password_is_one_sentence(servers: Servers) -> None:
    """A refused login is an error that says so."""
    url = httpx.URL(servers.management_url).copy_with(username="nobody", password="wrong")
    async with Management(str(url), "/") as management:
        with pytest.raises(ManagementError, match="password is wrong"):
            await diff(management, BOTH)
