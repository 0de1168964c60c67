"""The command `nilecare topology`, on a real broker and without one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import aiormq
import pytest
from click.testing import CliRunner, Result

from broker.servers import Servers
from nilecare import topology
from nilecare.addresses import AddressError, Platform, settings_for
from tests.broker.small_platform import ResultAvailable, billing, lab, service


@pytest.fixture
async def nilecare(
    servers: Servers, vhost: Callable[[], Awaitable[str]], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Awaitable[Result]]:
    """Runs `nilecare topology …` for the small platform, in a virtual host of its own."""
    monkeypatch.setattr(topology, "services", lambda: [lab(), billing()])
    monkeypatch.setenv("NILECARE_MANAGEMENT_URL", servers.management_url)
    monkeypatch.setenv("NILECARE_AMQP_URL", await vhost())
    monkeypatch.setenv("NILECARE_PREFIX", "unprovisioned")

    async def run(*words: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, topology.group, list(words))

    return run


async def test_apply_then_diff_lacks_only_accounts(nilecare: Callable[..., Awaitable[Result]]) -> None:
    """Apply says what it added; diff then lacks nothing but the accounts, which provisioning creates, and ends with 1."""
    applied = await nilecare("apply", "--json")
    assert applied.exit_code == 0, applied.output
    assert {"kind": "queue", "name": "billing.charge", "note": ""} in json.loads(applied.output)["applied"]
    assert (await nilecare("apply")).output == "nothing to apply\n"
    found = await nilecare("diff", "--json")
    assert found.exit_code == 1
    assert {item["kind"] for items in json.loads(found.output).values() for item in items} == {"account"}


async def test_prune_says_what_it_keeps_and_why(
    nilecare: Callable[..., Awaitable[Result]], monkeypatch: pytest.MonkeyPatch, vhost: Callable[[], Awaitable[str]]
) -> None:
    """A queue that nobody declares any more is named with the messages that keep it."""
    monkeypatch.setenv("NILECARE_AMQP_URL", url := await vhost())
    await nilecare("apply")
    connection = await aiormq.connect(url)
    await (await connection.channel()).basic_publish(b"{}", exchange="lab", routing_key="lab.result.available")
    await connection.close()
    monkeypatch.setattr(topology, "services", lambda: [service("lab", events=[ResultAvailable])])
    assert "would be removed: queue lab.release" in (await nilecare("prune", "--dry-run")).output
    pruned = await nilecare("prune")
    assert pruned.exit_code == 0, pruned.output
    assert "removed: queue lab.release\n" in pruned.output
    assert "kept: queue billing.charge (1 message waits in it)\n" in pruned.output


async def test_show_and_export_ask_no_server(
    nilecare: Callable[..., Awaitable[Result]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What follows from the declarations alone is printed without any address in the environment."""
    monkeypatch.delenv("NILECARE_MANAGEMENT_URL")
    monkeypatch.setenv("NILECARE_AMQP_URL", "")
    shown = await nilecare("show")
    assert "billing.charge" in shown.output
    assert "lab.result.available" in shown.output
    assert [queue["name"] for queue in json.loads((await nilecare("show", "--json")).output)["queues"]] == [
        "billing.charge",
        "billing.dead",
        "lab.dead",
        "lab.release",
    ]
    assert json.loads((await nilecare("export")).output)["vhosts"] == [{"name": "/"}]


async def test_a_missing_address_is_one_line(
    nilecare: Callable[..., Awaitable[Result]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command that needs a server names the variable that is absent."""
    monkeypatch.delenv("NILECARE_MANAGEMENT_URL")
    failed = await nilecare("apply")
    assert failed.exit_code
    assert failed.output.startswith("Error: NILECARE_MANAGEMENT_URL must be set")
    assert failed.output.count("\n") == 1


async def test_an_unreachable_broker_is_one_line(
    nilecare: Callable[..., Awaitable[Result]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that is not there is an error of one line without a password."""
    monkeypatch.setenv("NILECARE_MANAGEMENT_URL", "http://guest:secret@127.0.0.1:9")
    failed = await nilecare("diff")
    assert failed.exit_code
    assert failed.output == "Error: RabbitMQ's management API at 127.0.0.1:9 cannot be reached (ConnectError)\n"


ADMIN = {
    "NILECARE_POSTGRES_URL": "postgresql://admin:pw@db:5433/postgres",
    "NILECARE_AMQP_URL": "amqp://admin:pw@mq:5673/nile%20care",
    "NILECARE_MANAGEMENT_URL": "http://admin:pw@mq:15673",
    "NILECARE_SECRET": "s",
}


def test_with_the_secret_every_address_is_the_services_own() -> None:
    """Given the administrators' addresses and the secret, a service gets its own accounts on the same servers."""
    settings = settings_for(lab(), {**ADMIN, "NILECARE_OUTSIDE_CARD_PROVIDER": "http://cards"}, journal=True)
    platform = Platform.from_environment(ADMIN)
    password = platform.password("nilecare_lab")
    assert settings.database_url == f"postgresql://nilecare_lab:{password}@db:5433/nilecare_lab"
    assert settings.amqp_url == f"amqp://nilecare_lab:{password}@mq:5673/nile%20care"
    assert settings.management_url == f"http://nilecare_observer:{platform.password('nilecare_observer')}@mq:15673"
    assert (settings.outside, settings.journal) == ({"card_provider": "http://cards"}, True)
    assert platform.vhost == "nile care"


def test_without_the_secret_a_service_uses_what_it_is_given() -> None:
    """In production a process has the addresses of its own accounts and nothing to derive others from."""
    environment = {"NILECARE_DATABASE_URL": "postgresql://own@db/own", "NILECARE_AMQP_URL": "amqp://own@mq/"}
    settings = settings_for(lab(), environment)
    assert (settings.database_url, settings.amqp_url, settings.management_url) == (*environment.values(), None)


def test_a_journal_without_a_look_at_bindings_is_refused() -> None:
    """It would say of every event that nobody was to hear it."""
    own = {"NILECARE_DATABASE_URL": "postgresql://own@db/own", "NILECARE_AMQP_URL": "amqp://own@mq/", "NILECARE_JOURNAL": "on"}
    with pytest.raises(AddressError, match="NILECARE_JOURNAL needs NILECARE_MANAGEMENT_URL"):
        settings_for(lab(), own)
    assert settings_for(lab(), own | {"NILECARE_MANAGEMENT_URL": "http://observer@mq:15672"}).journal


@pytest.mark.parametrize("absent", sorted(ADMIN))
def test_what_is_absent_is_named(absent: str) -> None:
    """Each address that is missing is named in the error."""
    with pytest.raises(AddressError, match=absent):
        Platform.from_environment({name: value for name, value in ADMIN.items() if name != absent})


def test_a_prefix_that_cannot_be_a_name_is_refused() -> None:
    """The prefix becomes part of names on both servers, and may not end them."""
    with pytest.raises(AddressError, match="NILECARE_PREFIX"):
        Platform.from_environment({**ADMIN, "NILECARE_PREFIX": 'x"; DROP ROLE y'})
