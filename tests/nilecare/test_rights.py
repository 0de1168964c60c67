"""What a service's account can do is what its declaration says. Proven by attack, from the lab's accounts."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import aiormq
import asyncpg
import httpx
import pytest
from aiormq.abc import AbstractChannel, DeliveredMessage
from aiormq.exceptions import AMQPException, ChannelAccessRefused
from sqlalchemy import text

from broker import Envelope, Service
from broker._batch import BatchProcessor
from broker._context import uuid7
from broker._database import Database, engine_for
from broker._delivery import Delivery, Forged
from broker._failures import Failures
from broker._provision import provision
from broker.servers import Servers
from nilecare.addresses import Platform
from tests.broker.small_platform import InvoicePaid, ResultAvailable, billing, charge, lab, subscription


@dataclass(frozen=True, slots=True)
class Ground:
    """The small platform, provisioned on real servers under names of its own."""

    platform: Platform
    services: tuple[Service, ...]

    async def channel(self, service: str) -> AbstractChannel:
        """A channel of the service's own account, with confirms."""
        channel = await (await aiormq.connect(self.platform.service_amqp_url(service))).channel()
        await channel.confirm_delivery()
        return channel

    async def drop(self) -> None:
        """Removes all that provisioning made."""
        admin = await asyncpg.connect(self.platform.postgres_url)
        accounts = [self.platform.account(service.name) for service in self.services]
        for account in accounts:
            await admin.execute(f'DROP DATABASE IF EXISTS "{account}" WITH (FORCE)')
            await admin.execute(f'DROP ROLE IF EXISTS "{account}"')
        await admin.close()
        async with httpx.AsyncClient(timeout=30) as client:
            for account in (*accounts, self.platform.account("observer")):
                await client.delete(f"{self.platform.management_url}/api/users/{account}")
            await client.delete(f"{self.platform.management_url}/api/vhosts/{self.platform.vhost}")


@pytest.fixture(scope="module")
async def ground(servers: Servers) -> AsyncIterator[Ground]:
    """Lab and billing, each with its own accounts. Billing listens to itself too, as a target for forgery."""
    prefix = f"test_{secrets.token_hex(4)}"
    platform = Platform(
        postgres_url=servers.postgres_url,
        amqp_url=str(httpx.URL(servers.amqp_url).copy_with(path=f"/{prefix}")),
        management_url=servers.management_url,
        secret=secrets.token_hex(),
        prefix=prefix,
    )
    ground = Ground(platform, (lab(), billing(subscription(charge, ResultAvailable, InvoicePaid))))
    try:
        await provision(platform, ground.services)
        yield ground
    finally:
        await ground.drop()


@pytest.fixture
async def attacker(ground: Ground) -> AsyncIterator[AbstractChannel]:
    """A channel of the lab's account."""
    channel = await ground.channel("lab")
    yield channel
    await channel.connection.close()


def forged_invoice(user: str) -> tuple[Envelope, aiormq.spec.Basic.Properties]:
    """An `invoice.paid` that looks like billing's in every header, and the properties that `user` sends it with."""
    invoice_id = uuid7()
    envelope = Envelope(
        id=uuid7(), type="invoice.paid", source="billing", subject=str(invoice_id), version=1, sequence=1, flow=uuid7(),
        cause=None, trace=None, time=datetime.now(UTC), body=InvoicePaid(invoice_id=invoice_id).model_dump_json().encode(),
    )  # fmt: skip
    return envelope, envelope.properties(user)


async def arrived(ground: Ground, queue: str) -> DeliveredMessage:
    """The next message of a queue, taken with its owner's account."""
    channel = await ground.channel(queue.partition(".")[0])
    taken: asyncio.Queue[DeliveredMessage] = asyncio.Queue()
    await channel.basic_consume(queue, taken.put, no_ack=True)
    async with asyncio.timeout(20):
        message = await taken.get()
    await channel.connection.close()
    return message


async def test_a_service_can_do_its_work(ground: Ground, attacker: AbstractChannel) -> None:
    """The lab publishes its event on its exchange under its name, and billing reads it from its queue."""
    user = ground.platform.account("lab")
    sent = await attacker.basic_publish(
        b"{}",
        exchange="lab",
        routing_key="lab.result.available",
        properties=aiormq.spec.Basic.Properties(user_id=user),
        mandatory=True,
    )
    assert isinstance(sent, aiormq.spec.Basic.Ack)
    message = await arrived(ground, "billing.charge")
    assert (message.exchange, message.header.properties.user_id) == ("lab", user)


async def test_forging_on_the_owners_exchange_is_refused(ground: Ground, attacker: AbstractChannel) -> None:
    """The lab cannot send `invoice.paid` on billing's exchange."""
    envelope, properties = forged_invoice(ground.platform.account("lab"))
    with pytest.raises(ChannelAccessRefused):
        await attacker.basic_publish(envelope.body, exchange="billing", routing_key="invoice.paid", properties=properties)


async def test_forging_on_its_own_exchange_reaches_nobody(ground: Ground, attacker: AbstractChannel) -> None:
    """No queue is bound to the lab's exchange by another service's type: the forgery comes back as unroutable."""
    envelope, properties = forged_invoice(ground.platform.account("lab"))
    with pytest.raises(aiormq.exceptions.PublishError):
        await attacker.basic_publish(
            envelope.body, exchange="lab", routing_key="invoice.paid", properties=properties, mandatory=True
        )


@pytest.mark.parametrize("routing_key", ["lab.result.available", "to.billing.charge"])
async def test_forging_by_headers_alone_takes_no_effect(ground: Ground, attacker: AbstractChannel, routing_key: str) -> None:
    """A message that says `invoice.paid` but came by the lab's exchange is kept as failed, and no handler sees it."""
    envelope, properties = forged_invoice(ground.platform.account("lab"))
    await attacker.basic_publish(envelope.body, exchange="lab", routing_key=routing_key, properties=properties, mandatory=True)
    delivery = Delivery.received(await arrived(ground, "billing.charge"))
    service = ground.services[1]
    with pytest.raises(Forged, match="arrived by way of exchange 'lab'"):
        delivery.check(delivery.envelope(), service.subscriptions[0], "billing.charge")
    assert await consumed(ground, delivery) == {"inbox": 0, "dead": 1}


async def consumed(ground: Ground, delivery: Delivery) -> dict[str, int]:
    """What became of a delivery in billing's database: rows of the inbox, and dead messages that name this delivery."""
    service = ground.services[1]
    database = Database(engine_for(ground.platform.database_url("billing")), "billing")
    await BatchProcessor(database, service, service.subscriptions[0], Failures(service)).process([delivery])
    query = """
        SELECT (SELECT count(*) FROM backbone.inbox WHERE id = :id) AS inbox,
               (SELECT count(*) FROM backbone.failed_message
                WHERE state = 'dead' AND properties ->> 'message_id' = :text AND reason LIKE '%arrived by way of%') AS dead
    """
    async with database.transaction() as session:
        row = (await session.execute(text(query), {"id": delivery.id, "text": delivery.message_id})).one()
    await database.close()
    return {"inbox": row.inbox, "dead": row.dead}


async def test_a_false_user_is_refused(ground: Ground, attacker: AbstractChannel) -> None:
    """The lab cannot send as billing's account, not even on its own exchange."""
    envelope, properties = forged_invoice(ground.platform.account("billing"))
    with pytest.raises(AMQPException, match="user_id"):
        await attacker.basic_publish(envelope.body, exchange="lab", routing_key="lab.result.available", properties=properties)


async def test_the_default_exchange_is_closed(ground: Ground, attacker: AbstractChannel) -> None:
    """The lab cannot put a message into billing's queue, or its own, past all exchanges."""
    envelope, properties = forged_invoice(ground.platform.account("lab"))
    with pytest.raises(ChannelAccessRefused):
        await attacker.basic_publish(envelope.body, exchange="", routing_key="billing.charge", properties=properties)
    own = await ground.channel("lab")
    with pytest.raises(ChannelAccessRefused):
        await own.basic_publish(envelope.body, exchange="", routing_key="lab.release", properties=properties)
    await own.connection.close()


Attack = Callable[[AbstractChannel], Awaitable[object]]

REFUSED: dict[str, Attack] = {
    "consume billing's queue": lambda channel: channel.basic_consume("billing.charge", nobody),
    "get from billing's queue": lambda channel: channel.basic_get("billing.charge"),
    "get from billing's dead": lambda channel: channel.basic_get("billing.dead"),
    "empty billing's queue": lambda channel: channel.queue_purge("billing.charge"),
    "delete billing's queue": lambda channel: channel.queue_delete("billing.charge"),
    "delete its own queue": lambda channel: channel.queue_delete("lab.release"),
    "delete its own exchange": lambda channel: channel.exchange_delete("lab"),
    "declare a queue": lambda channel: channel.queue_declare("lab.eavesdrop"),
    "declare a temporary queue": lambda channel: channel.queue_declare(exclusive=True),
    "declare an exchange": lambda channel: channel.exchange_declare("lab.other"),
    "bind its queue to billing's events": lambda channel: channel.queue_bind("lab.release", "billing", "#"),
    "bind billing's queue to its events": lambda channel: channel.queue_bind("billing.charge", "lab", "#"),
    "unbind billing's queue": lambda channel: channel.queue_unbind("billing.charge", "lab", "lab.result.available"),
    "bind billing's exchange to its own": lambda channel: channel.exchange_bind("billing", "lab", "#"),
}


async def nobody(message: DeliveredMessage) -> None:
    """A consumer that is never reached."""


@pytest.mark.parametrize("attack", REFUSED.values(), ids=REFUSED.keys())
async def test_what_the_declaration_does_not_say_is_refused(attacker: AbstractChannel, attack: Attack) -> None:
    """The lab's account can neither read nor change what is not its own, nor configure what is."""
    with pytest.raises(ChannelAccessRefused):
        await attack(attacker)


@pytest.mark.parametrize("url", ["/api/queues", "/api/users", "/api/definitions"])
async def test_the_management_api_is_closed(ground: Ground, url: str) -> None:
    """A service's account has no tag: the management API tells it nothing."""
    account = ground.platform.account("lab")
    async with httpx.AsyncClient(auth=(account, ground.platform.password(account))) as client:
        bare = httpx.URL(ground.platform.management_url).copy_with(username=None, password=None)
        response = await client.get(f"{str(bare).rstrip('/')}{url}")
    assert response.status_code == httpx.codes.UNAUTHORIZED


async def test_the_observer_sees_bindings_and_changes_nothing(ground: Ground) -> None:
    """The account of the journal reads who is bound, and is refused when it publishes, reads or deletes."""
    account = ground.platform.account("observer")
    bare = str(httpx.URL(ground.platform.management_url).copy_with(username=None, password=None)).rstrip("/")
    vhost = ground.platform.vhost
    async with httpx.AsyncClient(auth=(account, ground.platform.password(account)), base_url=f"{bare}/api") as client:
        bindings = (await client.get(f"/exchanges/{vhost}/lab/bindings/source")).json()
        assert {each["destination"] for each in bindings} == {"billing.charge"}
        message = {"properties": {}, "routing_key": "invoice.paid", "payload": "{}", "payload_encoding": "string"}
        get = {"count": 1, "ackmode": "ack_requeue_false", "encoding": "auto"}
        attacks = [
            await client.post(f"/exchanges/{vhost}/billing/publish", json=message),
            await client.post(f"/queues/{vhost}/billing.dead/get", json=get),
            await client.delete(f"/queues/{vhost}/billing.dead"),
            await client.put(f"/users/{account}", json={"password": "x", "tags": "administrator"}),
        ]
    assert not [response.url for response in attacks if response.is_success]


async def test_another_services_database_is_closed(ground: Ground) -> None:
    """The lab's role cannot connect to billing's database, and so read none of its tables."""
    url = httpx.URL(ground.platform.database_url("lab")).copy_with(path=f"/{ground.platform.account('billing')}")
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied for database"):
        await asyncpg.connect(str(url))


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM backbone.outbox",
        "INSERT INTO backbone.clock VALUES (true, '1 day')",
        "CREATE TABLE public.mine (id int)",
        "CREATE SCHEMA mine",
        "TRUNCATE backbone.inbox",
    ],
)
async def test_even_inside_the_database_another_services_tables_are_closed(ground: Ground, statement: str) -> None:
    """Were the lab's role let into billing's database by mistake, its tables would still be closed to it."""
    parts = httpx.URL(ground.platform.postgres_url).copy_with(path=f"/{ground.platform.account('billing')}")
    connection = await asyncpg.connect(str(parts))
    await connection.execute(f'SET SESSION AUTHORIZATION "{ground.platform.account("lab")}"')
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(statement)
    await connection.close()


@pytest.mark.parametrize("statement", ["CREATE DATABASE mine", "CREATE ROLE mine", "COPY pg_class TO PROGRAM 'cat'"])
async def test_a_role_has_no_rights_over_the_server(ground: Ground, statement: str) -> None:
    """The lab's role makes no databases and no roles, and runs no programs."""
    connection = await asyncpg.connect(ground.platform.database_url("lab"))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(statement)
    await connection.close()


async def test_a_service_works_in_its_own_database(ground: Ground) -> None:
    """The lab's role owns the tables of its database: it migrates, partitions and truncates by itself."""
    connection = await asyncpg.connect(ground.platform.database_url("lab"))
    await connection.execute("TRUNCATE backbone.outbox_1")
    await connection.execute("CREATE TABLE public.probe (id int)")
    await connection.execute("DROP TABLE public.probe")
    await connection.close()


async def test_provisioning_can_be_repeated_and_done_by_two_at_once(ground: Ground) -> None:
    """Two more runs at once succeed and leave the accounts as they were."""
    await asyncio.gather(*(provision(ground.platform, ground.services) for _ in range(2)))
    channel = await ground.channel("billing")
    await channel.connection.close()


def test_no_password_tells_another() -> None:
    """Each account's password follows from the secret and its name, and is the same every time."""
    platform = Platform(postgres_url="", amqp_url="", management_url="", secret="one")
    other = Platform(postgres_url="", amqp_url="", management_url="", secret="two")
    names = ["nilecare_lab", "nilecare_billing"]
    assert len({each.password(name) for each in (platform, other) for name in names}) == 4
    assert platform.password("nilecare_lab") == platform.password("nilecare_lab")
