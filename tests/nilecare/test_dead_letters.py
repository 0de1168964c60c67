"""`nilecare dead-letters` tells a person what failed and why, and acts only on what was clearly asked for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result

from broker import Permanent
from broker._context import uuid7
from nilecare import dead_letters, dead_letters_selection
from tests.broker.failing import Desk, make_desk, raising


@pytest.fixture
async def desk(database: Callable[..., Awaitable[str]], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    url = await database()
    desk = await make_desk(url)
    monkeypatch.setattr(dead_letters_selection, "services", lambda: [desk.service])
    monkeypatch.delenv("NILECARE_SECRET", raising=False)
    monkeypatch.setenv("NILECARE_DATABASE_URL", url)
    monkeypatch.setenv("NILECARE_AMQP_URL", "amqp://nobody@127.0.0.1:1/")
    yield desk
    await desk.database.close()


async def run(*arguments: str) -> Result:
    """The command, in a thread, since it brings an event loop of its own."""
    command = ["--service", "desk"]
    return await asyncio.to_thread(CliRunner().invoke, dead_letters.group, [arguments[0], *command, *arguments[1:]])


async def json_of(*arguments: str) -> Any:
    result = await run(*arguments, "--json")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return json.loads(result.stdout)


async def test_a_person_sees_what_and_why(desk: Desk) -> None:
    """The list names the message, its reason, how many lie behind it, and the next command."""
    position = await desk.fail("a", 1, Permanent("an invoice that is closed takes no money"))
    await desk.hold("a", 2)
    output = (await run("list")).output
    assert f"desk/{position}" in output
    assert "Permanent: an invoice that is closed takes no money" in output
    assert "1 dead, 1 held; the dead ones block 1 message behind them" in output
    assert f"nilecare dead-letters show --id desk/{position}" in output
    shown = (await run("show", "--id", f"desk/{position}")).output
    assert "somebody must act" in shown
    assert f"nilecare dead-letters retry --dry-run --id desk/{position}" in shown


async def test_nothing_failed(desk: Desk) -> None:
    """An empty list says so, in words and as JSON."""
    assert (await run("list")).output == "no failed messages\n"
    assert await json_of("list") == []


async def test_bodies_are_shown_only_on_request(desk: Desk) -> None:
    """Neither list nor show prints a body or properties without --with-body."""
    await desk.fail("a", 4711, Permanent("never"))
    for arguments in (("list",), ("show",), ("list", "--json"), ("show", "--json")):
        assert '"number"' not in (await run(*arguments)).output
        assert "cloudEvents" not in (await run(*arguments)).output
    assert '{"item":"a","number":4711}' in (await run("show", "--with-body")).output
    assert (await json_of("show", "--with-body"))[0]["body"] == '{"item":"a","number":4711}'


async def test_retry_reports_and_takes_the_rest_along(desk: Desk) -> None:
    """A dry run changes nothing; a retry takes effect and lets what lies behind follow; a failure ends with status 1."""
    desk.behaviour[3] = raising(Permanent("never"), Permanent("never"))
    position = await desk.fail("a", 1, Permanent("never"))
    await desk.hold("a", 2)
    await desk.fail("b", 3, Permanent("never"))
    dry = await run("retry", "--id", f"desk/{position}", "--dry-run")
    assert (dry.exit_code, await desk.effects("a")) == (0, [])
    assert "would take effect" in dry.output
    done = await json_of("retry", "--id", f"desk/{position}")
    assert [(each["result"], each["followed"]) for each in done] == [("done", 1)]
    assert await desk.effects("a") == [1, 2]
    failed = await run("retry", "--key", "b")
    assert failed.exit_code == 1
    assert "failed again (dead): Permanent: never" in failed.output


async def test_many_are_asked_for_clearly(desk: Desk) -> None:
    """Retrying or discarding more than one message needs --all or explicit ids."""
    await desk.fail("a", 1, Permanent("never"))
    await desk.fail("b", 1, Permanent("never"))
    for verb in ("retry", "discard"):
        refused = await run(verb, "--state", "dead")
        assert (refused.exit_code, len(await desk.rows())) == (2, 2)
        assert refused.output == "Error: that selects 2 messages: say --all, or name them with --id\n"
    assert [each["discarded"] for each in await json_of("discard", "--state", "dead", "--all")] == [True, True]
    assert await desk.rows() == []


async def test_discard_lets_the_rest_go_on(desk: Desk) -> None:
    """Discarding one message by its event's id frees its key."""
    await desk.fail("a", 1, Permanent("never"))
    await desk.hold("a", 2)
    result = await run("discard", "--id", str((await desk.rows())[0].id))
    assert "discarded; 1 behind it go on when desk runs" in result.output
    await desk.run()
    assert await desk.effects("a") == [2]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("show", "--id", "nonsense"), "neither like billing/17 nor an event's id"),
        (("show", "--id", str(uuid7())), "no failed message is like that"),
        (("retry", "--id", "desk/99"), "no failed message is like that"),
        (("list", "--state", "tired"), "'tired' is not one of"),
        (("list", "--flow", "x"), "not a valid UUID"),
        (("list", "--limit", "0"), "not in the range"),
        (("list", "--id", "cellar/1", "--service", "cellar"), "there is no service cellar"),
        (("drain",), "RabbitMQ refuses desk"),
    ],
)
async def test_a_mistake_is_one_line_and_status_2(desk: Desk, arguments: tuple[str, ...], words: str) -> None:
    """Bad options and absent servers end with status 2 and one line that says what is wrong."""
    result = await run(*arguments)
    assert result.exit_code == 2
    assert words in result.output.splitlines()[-1]
    assert "Traceback" not in result.output


async def test_an_absent_database_is_named(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that does not answer is one line, without its password."""
    monkeypatch.setenv("NILECARE_DATABASE_URL", "postgresql://desk:secret@127.0.0.1:1/desk")
    result = await run("list")
    assert (result.exit_code, result.output.count("\n")) == (2, 1)
    assert "the database of desk does not answer" in result.output
    assert "secret" not in result.output


async def test_one_service_must_be_named_where_one_is_known(desk: Desk) -> None:
    """With the addresses of a single service in the environment, the command asks which it is."""
    result = await asyncio.to_thread(CliRunner().invoke, dead_letters.group, ["list"])
    assert (result.exit_code, "say --service" in result.output) == (2, True)
