"""`nilecare replicas` says how replicas are, and begins what it is asked for; its exit code tells whether anything differed."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from broker._relay import CHANNEL
from broker._replica_runs import begin
from broker.testing.scratch import Databases
from nilecare import replicas
from services.operations.app import service as operations
from tests.broker.copying import PERSONS, Ferry, ferry_over, ledger, people
from tests.broker.telling import Tellers, fail, tellers_over
from tests.broker.test_replica_runs import damage, person


@asynccontextmanager
async def at_work(make: Callable[..., Awaitable[str]], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ferry]:
    """Two services, of which the command knows both, at work inside the block."""
    async with ferry_over(make) as ferry:
        url = ferry.keeper.engine.url.render_as_string(hide_password=False)
        monkeypatch.setattr(replicas, "services", lambda: [people, ledger])
        monkeypatch.delenv("NILECARE_SECRET", raising=False)
        monkeypatch.setenv("NILECARE_DATABASE_URL", url)
        monkeypatch.setenv("NILECARE_AMQP_URL", "amqp://nobody@127.0.0.1:1/")
        await ferry.write(*(person(number) for number in range(1, 6)))
        await ferry.settle()
        async with _woken(url) as told:
            going_on = asyncio.create_task(_goes_on(ferry, told))
            try:
                yield ferry
            finally:
                going_on.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await going_on


@pytest.fixture
async def ferry(database: Callable[..., Awaitable[str]], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ferry]:
    """As `at_work`, as long as the test lasts."""
    async with at_work(database, monkeypatch) as ferry:
        yield ferry


@asynccontextmanager
async def _woken(url: str) -> AsyncIterator[asyncio.Event]:
    """Set when somebody says that something was published in a database, as a running service hears it."""
    told = asyncio.Event()
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        await connection.add_listener(CHANNEL, lambda *_: told.set())
        yield told
    finally:
        await connection.close()


async def _goes_on(ferry: Ferry | Tellers, told: asyncio.Event) -> None:
    while await told.wait():
        told.clear()
        await ferry.settle()


async def run(*arguments: str) -> Result:
    """The command, in a thread, since it brings an event loop of its own."""
    return await asyncio.to_thread(CliRunner().invoke, replicas.group, arguments)


def said(result: Result) -> list[str]:
    """What it printed, without the log of the services at work in this process."""
    return [line for line in result.stdout.splitlines() if not line.startswith("20")]


async def json_of(*arguments: str) -> Any:
    return json.loads("\n".join(said(await run(*arguments, "--json"))))


async def test_a_person_fills_checks_and_repairs(ferry: Ferry) -> None:
    """Each says what it found, by key; status 1 means that something differed, 0 that nothing did."""
    filled = await run("refill", "ledger", "person_reference")
    assert (filled.exit_code, said(filled)) == (0, ["ledger.person_reference: 5 rows, all as its owner has it"])
    assert (await run("check", "ledger", "person_reference")).exit_code == 0
    await damage(ferry, "DELETE FROM person_reference WHERE id = :id", id=person(2).person_id)
    await damage(ferry, "UPDATE person_reference SET full_name = 'Nobody' WHERE id = :id", id=person(3).person_id)
    checked = await run("check", "ledger", "person_reference")
    assert checked.exit_code == 1
    assert said(checked) == [
        "ledger.person_reference: 5 rows, 1 altered, 1 missing differ",
        f"  missing  {person(2).person_id}",
        f"  altered  {person(3).person_id}",
    ]
    repaired = await json_of("repair", "ledger", "person_reference")
    assert (repaired[0]["owner"], repaired[0]["repaired"]) == ("people", 2)
    assert [(each["key"], each["drift"], each["repaired"]) for each in repaired[0]["keys"]] == [
        (str(person(2).person_id), "missing", True),
        (str(person(3).person_id), "altered", True),
    ]
    assert await ferry.copies() == await ferry.persons()


async def test_the_list_says_how_each_is(ferry: Ferry) -> None:
    """Not filled yet, filled, checked; rows and lag; all of it as JSON, with what it copies and whose it is."""
    before = (await run("list", "ledger")).stdout
    assert "ledger.ward_reference" in before
    assert "not filled yet" in before
    await run("refill", "ledger", "person_reference")
    await run("check", "ledger", "person_reference")
    words = (await run("list", "ledger", "person_reference")).stdout.split()
    assert {"ledger.person_reference", "check", "done,", "none"} <= set(words)
    (told,) = await json_of("list", "ledger", "person_reference")
    assert (told["owner"], told["copies"], told["rows"], told["last_run"]["purpose"]) == (
        "people",
        "person.changed",
        5,
        "check",
    )


async def test_the_list_says_what_a_run_waits_for(ferry: Ferry) -> None:
    """The failed message, by the name that people replay it by; and for how long nothing has come."""
    await damage(ferry, "ALTER TABLE person_reference ADD CONSTRAINT picky CHECK (full_name <> 'P2') NOT VALID")
    async with ferry.keeper.transaction() as session:
        id_ = await begin(session, PERSONS, "fill", "amani")
    await ferry.settle()
    listed = " ".join((await run("list", "ledger", "person_reference")).stdout.split())
    assert "fill waits for the failed message ledger/1" in listed
    (told,) = await json_of("list", "ledger", "person_reference")
    assert (told["last_run"]["id"], told["last_run"]["waits_for"]) == (str(id_), 1)
    await damage(ferry, "DELETE FROM backbone.failed_message")
    await damage(ferry, "UPDATE backbone.replica_run SET changed_at = now() - interval '42 minutes'")
    assert "nothing came for 42 min" in " ".join((await run("list", "ledger", "person_reference")).stdout.split())


async def test_bad_input_is_one_line(ferry: Ferry) -> None:
    """What it does not know, what is under way, and what cannot be filled: status 2, and what to do."""
    assert "there is no service nobody: one of people, ledger" in (await run("check", "nobody")).output
    assert "ledger keeps no replica x: it has person_reference" in (await run("check", "ledger", "x")).output
    refused = await run("refill", "ledger", "guest_reference")
    assert (refused.exit_code, "keeps no objects" in refused.output) == (2, True)


async def test_a_run_under_way_is_not_disturbed(ferry: Ferry) -> None:
    """It is refused unless one says --anew, which gives the first one up."""
    async with ferry.keeper.transaction() as session:
        await session.execute(
            text(
                "INSERT INTO backbone.replica_run (id, replica, purpose, state, asked_by, columns, began_at, changed_at)"
                " VALUES (gen_random_uuid(), 'person_reference', 'check', 'running', 'else', '{}', now(), now())"
            )
        )
    refused = await run("check", "ledger", "person_reference")
    assert (refused.exit_code, "--anew" in refused.output) == (2, True)
    assert (await run("check", "ledger", "person_reference", "--anew")).exit_code == 0
    (told,) = await json_of("list", "ledger", PERSONS.name)
    assert told["last_run"]["state"] == "done"


async def test_one_that_is_refused_keeps_no_other_from_being_looked_at(ferry: Ferry) -> None:
    """It is said beside what was found: status 1 where something differs, else 2."""
    for replica in ("person_reference", "ward_reference"):
        await run("refill", "ledger", replica)
    checked = await run("check", "ledger")
    assert (checked.exit_code, len([line for line in said(checked) if "all as its owner" in line])) == (2, 2)
    assert "ledger.guest_reference: people publishes guest.changed, but keeps no objects" in checked.stderr
    await damage(ferry, "DELETE FROM person_reference WHERE id = :id", id=person(2).person_id)
    checked = await run("check", "ledger")
    assert (checked.exit_code, "keeps no objects" in checked.stderr) == (1, True)


@pytest.fixture
async def tellers(database: Databases, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Tellers]:
    """Operations, which knows what failed in two services, all at work."""
    async with tellers_over(database, "billing", "lab") as tellers:
        url = tellers.keeper.engine.url.render_as_string(hide_password=False)
        queues = frozenset(f"{name}.replicas" for name in tellers.desks)
        monkeypatch.setattr(replicas, "services", lambda: [operations])
        monkeypatch.setattr(replicas, "check_platform", lambda platform: {"replica.requested": queues})
        monkeypatch.delenv("NILECARE_SECRET", raising=False)
        monkeypatch.setenv("NILECARE_DATABASE_URL", url)
        monkeypatch.setenv("NILECARE_AMQP_URL", "amqp://nobody@127.0.0.1:1/")
        await fail(tellers.desks["billing"], 1, 2, 3)
        await fail(tellers.desks["lab"], 1)
        await tellers.settle()
        async with _woken(url) as told:
            going_on = asyncio.create_task(_goes_on(tellers, told))
            yield tellers
            going_on.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await going_on


async def test_what_every_service_tells_is_looked_at_owner_by_owner(tellers: Tellers) -> None:
    """A line for each; and each is filled, checked and repaired with what it told itself."""
    which = ("operations", "failed_message_reference")
    lines = [f"operations.failed_message_reference of {owner}" for owner in ("billing", "lab")]
    listed = [line.strip().split("  ")[0] for line in said(await run("list", *which))]
    assert [line for line in listed if line.startswith("operations")] == lines
    filled = await run("refill", *which)
    assert (filled.exit_code, said(filled)) == (
        0, [f"{lines[0]}: 3 rows, all as its owner has it", f"{lines[1]}: 1 rows, all as its owner has it"],
    )  # fmt: skip
    await tellers.damage("DELETE FROM failed_message_reference WHERE id = 'billing/2'")
    repaired = await json_of("repair", *which)
    assert [(each["replica"], each["owner"], [key["key"] for key in each["keys"]]) for each in repaired] == [
        ("operations.failed_message_reference", "billing", ["billing/2"]),
        ("operations.failed_message_reference", "lab", []),
    ]
    told = await json_of("list", *which)
    assert [(each["owner"], each["rows"], each["last_run"]["repaired"]) for each in told] == [("billing", 3, 1), ("lab", 1, 0)]
    await tellers.assert_true()
