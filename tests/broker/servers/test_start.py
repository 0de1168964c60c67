"""Where the servers come from, and what a test may do with those of its own."""

from __future__ import annotations

import asyncio

import aiormq
import asyncpg
import pytest

from broker.servers import Servers, Stack, StackError, start, start_stack
from broker.servers.errors import Unavailable
from broker.testing.scratch import Databases, VirtualHosts

ADDRESSES = {
    "NILECARE_POSTGRES_URL": "postgresql://somebody@elsewhere/postgres",
    "NILECARE_AMQP_URL": "amqp://somebody@elsewhere/",
    "NILECARE_MANAGEMENT_URL": "http://somebody@elsewhere",
}


def refuse(*_: object, **__: object) -> start.Running:
    raise Unavailable("not on this machine")


async def test_a_database_is_fresh_and_migrated(database: Databases) -> None:
    """Each database of a test has the backbone's empty tables."""
    connection = await asyncpg.connect(await database())
    assert await connection.fetchval("SELECT count(*) FROM backbone.outbox") == 0
    await connection.close()


async def test_a_virtual_host_is_fresh(vhost: VirtualHosts) -> None:
    """Each virtual host of a test is open to the administrator, and no other's."""
    first, second = await vhost(), await vhost()
    assert first != second
    await (await aiormq.connect(first)).close()


def test_addresses_in_the_environment_win(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given servers are used as they are, and are not ours to kill."""
    for name, value in ADDRESSES.items():
        monkeypatch.setenv(name, value)
    with start_stack("given") as stack:
        assert stack.servers.environment() == ADDRESSES
        assert not stack.is_ours
        with pytest.raises(StackError, match="not ours to start and stop"):
            stack.rabbitmq.kill()


def test_some_addresses_are_not_enough() -> None:
    """One address without the others is an error that names the missing ones."""
    with pytest.raises(StackError, match="NILECARE_AMQP_URL and NILECARE_MANAGEMENT_URL must be set too"):
        Servers.given({"NILECARE_POSTGRES_URL": ADDRESSES["NILECARE_POSTGRES_URL"]})


def test_without_any_source_the_choices_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no servers can be had, one error lists all choices, with the reason why each is not open here."""
    monkeypatch.setattr(start, "SOURCES", {"containers": refuse, "binaries": refuse})
    monkeypatch.delenv(start.SOURCE, raising=False)
    with pytest.raises(StackError) as failure, start_stack("none", own=True):
        pass
    message = str(failure.value)
    for choice in ("the environment", "a Docker Engine", "installed on this machine", "apt", "binaries: not on this machine"):
        assert choice in message


def test_an_unknown_source_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A source that does not exist is an error that names those that do."""
    monkeypatch.setenv(start.SOURCE, "magic")
    with pytest.raises(StackError, match="it can be containers or binaries"), start_stack("magic", own=True):
        pass


async def test_what_was_committed_survives_a_kill(own_stack: Stack) -> None:
    """After kill -9, PostgreSQL is back at the same address with all that was committed."""
    connection = await asyncpg.connect(own_stack.servers.postgres_url)
    await connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    await asyncio.to_thread(own_stack.postgres.kill)
    await asyncio.to_thread(own_stack.postgres.start)
    connection.terminate()
    connection = await asyncpg.connect(own_stack.servers.postgres_url)
    assert await connection.fetchval("SELECT one FROM kept") == 1
    await connection.execute("DROP TABLE kept")
    await connection.close()


async def test_what_was_confirmed_survives_a_kill(own_stack: Stack) -> None:
    """After kill -9, RabbitMQ is back at the same address with all that it had confirmed."""
    async with await aiormq.connect(own_stack.servers.amqp_url) as connection:
        channel = await connection.channel()
        await channel.queue_declare("kept", durable=True, arguments={"x-queue-type": "quorum"})
        persistent = aiormq.spec.Basic.Properties(delivery_mode=2)
        await channel.basic_publish(b"1", routing_key="kept", properties=persistent)
    await asyncio.to_thread(own_stack.rabbitmq.kill)
    await asyncio.to_thread(own_stack.rabbitmq.start)
    async with await aiormq.connect(own_stack.servers.amqp_url) as connection:
        channel = await connection.channel()
        message = await channel.basic_get("kept", no_ack=True)
        assert message.body == b"1"
        await channel.queue_delete("kept")


async def test_a_paused_server_is_silent_and_comes_back(own_stack: Stack) -> None:
    """A paused PostgreSQL answers nobody, and goes on where it was."""
    connection = await asyncpg.connect(own_stack.servers.postgres_url)
    await asyncio.to_thread(own_stack.postgres.pause)
    question = asyncio.create_task(connection.fetchval("SELECT 1"))
    done, _ = await asyncio.wait([question], timeout=0.2)
    assert not done
    await asyncio.to_thread(own_stack.postgres.resume)
    assert await question == 1
    await connection.close()
