"""`nilecare dead-letters` tells a person what failed and why, and acts only on what was clearly asked for."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiormq
import click
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import delete, update

from broker import Permanent, RuleBroken, clock
from broker._actions import stop
from broker._context import uuid7
from broker._tables import failed_message
from nilecare import dead_letters
from nilecare.addresses import settings_for
from nilecare.dead_letters import acting, moving, selection
from tests.broker.failing import Desk, make_desk, raising
from tests.commanded import give_to_commands


@pytest.fixture
async def desk(database: Callable[..., Awaitable[str]], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    url = await database()
    desk = await make_desk(url)
    give_to_commands(desk, url, monkeypatch)
    yield desk
    await desk.database.close()


async def run(*arguments: str, answer: str | None = None) -> Result:
    """The command, in a thread, since it brings an event loop of its own. `answer`: what is typed when it asks."""
    named = [] if arguments[0] in ("edit", "redirect") else ["--service", "desk"]
    words = [arguments[0], *named, *arguments[1:]]
    return await asyncio.to_thread(CliRunner().invoke, dead_letters.group, words, answer)


async def json_of(*arguments: str) -> Any:
    result = await run(*arguments, "--json")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return json.loads(result.stdout)


async def test_a_person_sees_what_and_why(desk: Desk) -> None:
    """The list names the message, its reason, how many lie behind it, and the next command."""
    position = await desk.fail("a", 1, Permanent("an invoice that is closed takes no money"))
    await desk.hold("a", 2)
    output = (await run("list", "--state", "any")).output
    assert f"desk/{position}" in output
    assert "Permanent: an invoice that is closed takes no money" in output
    assert "1 dead, 1 held; the dead ones block 1 message behind them" in output
    assert f"nilecare dead-letters show --id desk/{position}" in output
    shown = (await run("show", "--id", f"desk/{position}")).output
    assert "somebody must act" in shown
    assert f"nilecare dead-letters try --id desk/{position}" in shown


async def test_dead_ones_unless_one_says_otherwise(desk: Desk) -> None:
    """What goes on by itself is shown to whoever asks for it."""
    await desk.fail("a", 1, Permanent("never"))
    await desk.hold("a", 2)
    assert [each["state"] for each in await json_of("list")] == ["dead"]
    assert [each["state"] for each in await json_of("list", "--state", "held")] == ["held"]
    assert [each["state"] for each in await json_of("list", "--state", "any")] == ["dead", "held"]


async def test_it_is_as_late_as_in_the_service(desk: Desk) -> None:
    """Where business time was moved, a demo's for instance, the command's moves with it: nothing failed in the future."""
    await clock.move(timedelta(days=36), [desk.database.engine])
    position = await desk.fail("a", 1, Permanent("never"))
    await clock.move(timedelta(hours=3), [desk.database.engine])
    clock.shift = timedelta()
    assert "since      3 h (" in (await run("show", "--id", f"desk/{position}")).output


async def test_nothing_failed(desk: Desk) -> None:
    """An empty list says so, in words and as JSON."""
    assert (await run("list")).output == "no failed messages are like that\n"
    assert (await run("groups")).output == "no failed messages are like that\n"
    assert await json_of("list") == []


async def test_a_name_that_nobody_knows_is_not_nothing_found(desk: Desk) -> None:
    """Neither the code nor a kept message has it: one line with those that there are. A known one may have none that failed."""
    await desk.fail("a", 1, Permanent("never"))
    for option, wrong, right in (("--subscription", "cuont", "count"), ("--type", "shop.slod", "shop.sold")):
        for verb in (["list"], ["groups"], ["show"], ["try"], ["replay", "--why", "x"], ["export", "--out", "-", "--why", "x"]):
            refused = await run(*verb, option, wrong)
            assert (refused.exit_code, refused.output.count("\n")) == (2, 1), refused.output
            assert f"there is no {option[2:]} {wrong} in desk: it is one of {right}" in refused.output
        assert (await run("list", option, right, "--key", "b")).output == "no failed messages are like that\n"
    async with desk.database.transaction() as session:
        await session.execute(update(failed_message).values(subscription="former", type="shop.shut", key="b"))
    for option, kept in (("--subscription", "former"), ("--type", "shop.shut")):
        assert (await run("list", option, kept, "--key", "a")).exit_code == 0
        assert kept in (await run("list", option, "nothing")).output
    await json_of("discard", "--key", "b", "--why", "x", "--yes")
    found = await run("list", "--subscription", "former", "--type", "shop.shut")
    assert (found.exit_code, found.output) == (0, "no failed messages are like that\n")


async def test_a_name_is_wrong_when_no_service_knows_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several services one that knows it is enough; the nearest names come first."""
    other = replace(desk.service, name="counter", handlers=None)
    monkeypatch.setattr(selection, "services", lambda: [other, desk.service])
    here = settings_for(desk.service)
    monkeypatch.setenv("NILECARE_SECRET", "s")
    monkeypatch.setattr("nilecare.dead_letters.access.settings_for", lambda service: here)
    both = ["list", "--subscription"]
    assert (await asyncio.to_thread(CliRunner().invoke, dead_letters.group, [*both, "count"])).exit_code == 0
    refused = await asyncio.to_thread(CliRunner().invoke, dead_letters.group, [*both, "cuont"])
    assert (refused.exit_code, "no subscription cuont: it is one of count, unknown" in refused.output) == (2, True)
    refused = await asyncio.to_thread(CliRunner().invoke, dead_letters.group, ["list", "--service", "dsek"])
    assert (refused.exit_code, "no service dsek: it is one of desk, counter" in refused.output) == (2, True)


async def test_pages(desk: Desk) -> None:
    """A page says how many there are and what the next one is asked for with."""
    positions = [await desk.fail(f"key-{number}", number, Permanent("never")) for number in range(3)]
    first = (await run("list", "--limit", "2")).output
    assert f"desk has 3: the next page is --after desk/{positions[1]}" in first
    second = await json_of("list", "--limit", "2", "--after", f"desk/{positions[1]}")
    assert [each["position"] for each in second] == [positions[2]]


async def test_groups_come_with_the_command_that_replays_them(desk: Desk) -> None:
    """The largest first; what it prints can be typed."""
    for number in range(3):
        await desk.fail(f"key-{number}", number, Permanent("a sample without a label"))
    await desk.fail("b", 9, RuleBroken())
    output = (await run("groups")).output
    assert "4 messages for 2 reasons" in output
    assert output.index("a sample without a label") < output.index("RuleBroken")
    command = output.splitlines()[-1].partition("nilecare dead-letters ")[2].replace("…", "cured")
    arguments = shlex.split(command)
    result = await asyncio.to_thread(CliRunner().invoke, dead_letters.group, [*arguments, "--yes"])
    assert (result.exit_code, len(await desk.rows())) == (0, 1)


async def test_bodies_are_shown_masked_and_whole_only_to_who_says_why(desk: Desk) -> None:
    """No list prints a body; show masks what is personal; whoever reveals it is written down."""
    position = await desk.fail("a", 4711, Permanent("never"))
    async with desk.database.transaction() as session:
        await session.execute(update(failed_message).values(body=b'{"item":"a","number":4711,"name":"Amina"}'))
    for arguments in (("list",), ("show",), ("groups",), ("list", "--json"), ("show", "--json")):
        assert "Amina" not in (await run(*arguments)).output
    assert '"name": "•••"' in (await run("show")).output
    assert (await run("show", "--reveal")).exit_code == 2
    assert '"name":"Amina"' in (await run("show", "--reveal", "--why", "the clinic called")).output
    assert [(each["verb"], each["asked_by"], each["why"]) for each in await json_of("history")] == [
        ("reveal", "amani", "the clinic called")
    ]
    (shown,) = await json_of("show", "--id", f"desk/{position}")
    assert [(past["verb"], past["by"], past["outcome"]) for past in shown["past"]] == [("reveal", "amani", "shown")]


async def test_trying_says_what_would_happen(desk: Desk) -> None:
    """Rows by table; status 1 when a replay would not end it. Nothing is changed."""
    desk.behaviour[2] = raising(KeyError("x"))
    well = await desk.fail("a", 1, Permanent("never"))
    ill = await desk.fail("b", 2, Permanent("never"))
    tried = await run("try", "--id", f"desk/{well}")
    assert (tried.exit_code, tried.output) == (0, f"desk/{well}  would take effect, writes effect (1 inserted)\n")
    tried = await run("try", "--id", f"desk/{ill}")
    assert tried.exit_code == 1
    assert "fails otherwise: KeyError" in tried.output
    assert (await desk.effects("a"), len(await desk.rows())) == ([], 2)


async def test_replay_shows_its_plan_asks_and_takes_the_rest_along(desk: Desk) -> None:
    """Nothing is done without a yes; then what lies behind follows; a failure ends with status 1."""
    desk.behaviour[3] = raising(Permanent("never"), Permanent("never"))
    await desk.fail("a", 1, Permanent("never"))
    await desk.hold("a", 2)
    await desk.fail("b", 3, Permanent("never"))
    refused = await run("replay", "--why", "cured", answer="n\n")
    assert (refused.exit_code, await desk.effects("a")) == (2, [])
    assert "2  " in refused.output
    assert "of each reason 1 first, then 10, then the rest" in refused.output
    assert "replay 2 messages?" in refused.output
    (done,) = await json_of("replay", "--key", "a", "--why", "cured", "--yes")
    assert (done["state"], done["outcomes"]) == ("done", {"took effect": 1})
    assert await desk.effects("a") == [1, 2]
    failed = await run("replay", "--key", "b", "--why", "cured", "--yes")
    assert failed.exit_code == 1
    action = failed.output.rpartition("--action ")[2].strip()
    (history,) = await json_of("history", "--action", action)
    assert [each["outcome"] for each in history["messages"]] == ["failed otherwise"]
    assert "Permanent: never" in history["messages"][0]["detail"]


async def test_where_nobody_can_be_asked(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is done, status 2, and a line that says how to go on; a yes that is piped in is one."""
    await desk.fail("a", 1, Permanent("never"))
    for arguments in (("replay",), ("discard", "--all"), ("discard", "--all", "--json")):
        refused = await run(*arguments, "--why", "x")
        assert (refused.exit_code, len(await desk.rows())) == (2, 1)
        assert (
            refused.output.splitlines()[-1] == "Error: nobody can be asked here, so nothing was done: give --yes if you mean it"
        )
    with monkeypatch.context() as closed, pytest.raises(selection.Refused, match="give --yes"):
        closed.setattr(sys, "stdin", None)
        acting._confirmed("replay 1 message?", err=True)
    assert (await run("replay", "--why", "x", answer="y\n")).exit_code == 0


async def test_who_breaks_off_at_the_question_has_not_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C is no answer, wherever standard input comes from."""

    def interrupted(prompt: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("click.termui.visible_prompt_func", interrupted)
    with pytest.raises(click.Abort):
        acting._confirmed("replay 1 message?", err=True)


async def test_what_has_ended_does_not_go_on(desk: Desk) -> None:
    """Halted or done: one line says which, and what to do instead. What was stopped goes on."""
    for number in range(2):
        desk.behaviour[number] = raising(*[KeyError("price")] * 3)
        await desk.retry(await desk.fail(f"key-{number}", number, Permanent("never"), attempts=10))
    (halted,) = await json_of("replay", "--why", "cured", "--yes")
    refused = await run("resume", halted["id"])
    assert (halted["state"], refused.exit_code, refused.output.count("\n")) == ("halted", 2, 1)
    assert "this replay halted, with 1 message not tried since others failed again" in refused.output
    assert f"history --service desk --action {halted['id']}" in refused.output
    assert "nilecare dead-letters replay --service desk" in refused.output
    desk.behaviour.clear()
    (done,) = await json_of("replay", "--why", "cured", "--yes")
    refused = await run("resume", done["id"])
    assert (refused.exit_code, "this replay is done: nothing of it is left to do" in refused.output) == (2, True)
    assert "nilecare dead-letters history lists those that there are" in (await run("resume", str(uuid7()))).output
    await desk.fail("b", 9, Permanent("never"))
    begun = await desk.begin("replay")
    async with desk.database.transaction() as session:
        assert await stop(session, begun.id)
    resumed = await run("resume", str(begun.id))
    assert (resumed.exit_code, await desk.effects("b")) == (0, [9]), resumed.output


async def test_discard_and_restore(desk: Desk) -> None:
    """What was let go can be taken back, by the action that let it go."""
    await desk.fail("a", 1, Permanent("never"))
    await desk.hold("a", 2)
    (let_go,) = await json_of("discard", "--id", str((await desk.rows())[0].id), "--why", "sent twice", "--yes")
    assert let_go["outcomes"] == {"discarded": 1}
    await desk.run()
    assert await desk.effects("a") == [2]
    result = await run("restore", "--action", let_go["id"], "--why", "it was not", "--yes")
    assert (result.exit_code, [row.state for row in await desk.rows()]) == (0, ["dead"])
    assert (await run("restore", "--action", let_go["id"], "--why", "again", "--yes")).exit_code == 2


async def test_all_are_let_go_only_by_saying_so(desk: Desk) -> None:
    """A service or a state does not say which, even with --yes; nor does it for taking them back, which holds their keys."""
    for number in range(2):
        await desk.fail(f"key-{number}", number, Permanent("never"))
    for verb, narrower in (("discard", "--fingerprint"), ("restore", "--action")):
        for more in ((), ("--state", "any")):
            refused = await run(verb, "--why", "x", "--yes", *more)
            assert (refused.exit_code, refused.output.count("\n")) == (2, 1), refused.output
            assert f"say which messages to {verb} ({narrower}" in refused.output
            assert "or --all if you mean all of them" in refused.output
    assert len(await desk.rows()) == 2
    (let_go,) = await json_of("discard", "--all", "--why", "x", "--yes")
    (taken_back,) = await json_of("restore", "--all", "--why", "x", "--yes")
    assert (let_go["outcomes"], taken_back["outcomes"]) == ({"discarded": 2}, {"restored": 2})
    assert (await run("discard", "--until", "0m", "--why", "x", "--yes")).exit_code == 0


async def test_editing(desk: Desk) -> None:
    """Fields by --set, a whole body by --file; a wrong one is refused in one line."""
    position = await desk.fail("a", 1, Permanent("never"))
    named = ("--id", f"desk/{position}", "--why", "the number was wrong")
    assert (await run("edit", *named, "--set", "number=5")).exit_code == 0
    assert (await desk.rows())[0].body == b'{"item":"a","number":5}'
    result = await run("edit", *named, "--file", "-", answer='{"item":"a","number":6}')
    assert (result.exit_code, (await desk.rows())[0].body) == (0, b'{"item":"a","number":6}')
    for wrong, words in (
        ("number=many", "is not JSON"),
        ('number="many"', "number (int_parsing)"),
        ("item.x=1", "no field item.x"),
        ("nubmer=7", "(fields=nubmer)"),
    ):
        refused = await run("edit", *named, "--set", wrong)
        assert (refused.exit_code, words in refused.output) == (2, True), refused.output
    (shown,) = await json_of("show")
    assert [json.loads(before)["number"] for before in shown["before"]] == [1, 5]


async def test_an_editor_shows_what_is_masked(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a person leaves masked stays; leaving all as it is changes nothing."""
    position = await desk.fail("a", 1, Permanent("never"))
    named = ("edit", "--id", f"desk/{position}", "--why", "the number was wrong")
    monkeypatch.setattr("click.edit", lambda shown, extension: shown)
    assert "nothing was changed" in (await run(*named)).output
    monkeypatch.setattr("click.edit", lambda shown, extension: shown.replace('"number": 1', '"number": 7'))
    assert (await run(*named)).exit_code == 0
    assert (await desk.rows())[0].body == b'{"item":"a","number":7}'


async def test_redirecting(desk: Desk) -> None:
    """After a rename, a message finds the subscription that goes on."""
    position = await desk.fail("a", 1, Permanent("never"))
    async with desk.database.transaction() as session:
        await session.execute(update(failed_message).values(subscription="former"))
    assert "has no subscription former: redirect it" in (await run("try")).output
    named = ("redirect", "--id", f"desk/{position}", "--why", "renamed")
    refused = await run(*named, "--to", "nowhere")
    assert (refused.exit_code, refused.output.count("\n")) == (2, 1)
    assert "No subscription of that name" in refused.output
    assert "(to=nowhere, type=shop.sold, possible=count)" in refused.output
    assert [row.subscription for row in await desk.rows()] == ["former"]
    assert (await run(*named, "--to", "count")).exit_code == 0
    assert (await run("replay", "--why", "renamed", "--yes")).exit_code == 0
    assert await desk.effects("a") == [1]


async def test_out_and_in_again(desk: Desk, tmp_path: Path) -> None:
    """Exported, discarded and imported, a message is a dead letter again; a second import changes nothing."""
    await desk.fail("a", 1, Permanent("never"))
    file = tmp_path / "messages.jsonl"
    assert (await run("export", "--out", str(file), "--why", "for the vendor")).exit_code == 0
    async with desk.database.transaction() as session:
        await session.execute(delete(failed_message))
    result = await run("import", str(file), "--why", "back from the vendor")
    assert result.exception is None, repr(result.exception)
    assert result.output == "desk: 1 imported, 0 known already, 0 of subscriptions that it does not have\n"
    assert [row.state for row in await desk.rows()] == ["dead"]
    assert (await json_of("import", str(file), "--why", "again"))["known"] == 1
    file.write_text(file.read_text() + "Amina\n")
    refused = await run("import", str(file), "--why", "again")
    assert (refused.exit_code, "line 2" in refused.output, "Amina" in refused.output) == (2, True, False)


async def test_garbage_is_not_imported(desk: Desk, tmp_path: Path) -> None:
    """One line that says where and what it is; of a file with one wrong line nothing is taken in, however late that comes."""
    position = await desk.fail("a", 1, Permanent("never"))
    file, lines = tmp_path / "messages.jsonl", tmp_path / "exported.jsonl"
    assert (await run("export", "--out", str(lines), "--why", "x")).exit_code == 0
    good = lines.read_bytes()
    exported = json.loads(good)
    async with desk.database.transaction() as session:
        await session.execute(delete(failed_message).where(failed_message.c.position == position))

    def but(**fields: object) -> bytes:
        return json.dumps(exported | fields).encode()

    pages = b"".join(but(id=str(uuid7())) + b"\n" for _ in range(moving.PAGE + 1))
    for content, words in (
        (b"", "there is nothing in the file"),
        (b"\n  \n", "there is nothing in the file"),
        (b"\x7fELF\x00\xff\xfe", "line 1 is not JSON"),
        (good + b"\nlab,result\n", "line 3 is not JSON: an import takes the lines that `export` wrote"),
        (json.dumps(exported, indent=2).encode(), "line 1 is not JSON"),
        (b"[]", "line 1 is not a message that `export` wrote (body model_type)"),
        (b'{"a": 1}', "line 1 is not a message that `export` wrote (service missing, subscription missing, id missing and "),
        (but(body=None, body_base64="?"), "(body_base64)"),
        (but(attempts=2**31), "(attempts less_than)"),
        (but(last_failed_at="2026-11-28T03:00:00"), "(last_failed_at timezone_aware)"),
        (but(service="lab"), "line 1 is a message of lab, not of desk"),
        (pages + b"}", f"line {moving.PAGE + 2} is not JSON"),
    ):
        file.write_bytes(content)
        refused = await run("import", str(file), "--why", "x")
        assert (refused.exit_code, refused.output.count("\n"), await desk.rows()) == (2, 1, []), refused.output
        assert words in refused.output
        assert "nothing" in refused.output
    file.write_bytes(pages + but(reason="it \0 said", properties={"headers": {"half": float("nan")}}))
    assert (await json_of("import", str(file), "--why", "x"))["imported"] == moving.PAGE + 2


async def test_through_a_queue_and_back(desk: Desk, vhost: Callable[[], Awaitable[str]]) -> None:
    """Exported into a queue of RabbitMQ, a message is whole when it comes back; the queue is empty then."""
    amqp = await vhost()
    await desk.fail("a", 1, Permanent("never"))
    before = (await desk.rows())[0]
    to_queue = ("export", "--to-queue", "for-the-vendor", "--amqp", amqp, "--why", "the vendor looks at it")
    refused = await run(*to_queue)
    assert (refused.exit_code, "there is no queue for-the-vendor" in refused.output) == (2, True), refused.output
    connection = await aiormq.connect(amqp)
    channel = await connection.channel()
    await channel.queue_declare("for-the-vendor")
    assert (await run(*to_queue)).exit_code == 0
    async with desk.database.transaction() as session:
        await session.execute(delete(failed_message))
    from_queue = ("import", "--from-queue", "for-the-vendor", "--amqp", amqp, "--why", "back")
    assert (await json_of(*from_queue))["imported"] == 1
    after = (await desk.rows())[0]
    assert after._asdict() | {"position": 0} == before._asdict() | {"position": 0}
    assert (await channel.queue_declare("for-the-vendor", passive=True)).message_count == 0
    nowhere = await run("import", "--from-queue", "nope", "--amqp", amqp, "--why", "back")
    assert (nowhere.exit_code, nowhere.output.count("\n")) == (2, 1)
    assert "there is no queue nope: name the one that `export --to-queue` filled" in nowhere.output
    await channel.basic_publish(b"Amina", routing_key="for-the-vendor")
    refused = await run(*from_queue)
    assert (refused.exit_code, "was not exported" in refused.output, "Amina" in refused.output) == (2, True, False)
    await connection.close()


async def test_a_queue_that_is_full_has_what_it_took(desk: Desk, vhost: Callable[[], Awaitable[str]]) -> None:
    """The command says how many that were, and it is written down that they were given out."""
    amqp = await vhost()
    for number in range(3):
        await desk.fail(f"key-{number}", number, Permanent("never"))
    connection = await aiormq.connect(amqp)
    channel = await connection.channel()
    await channel.queue_declare("small", arguments={"x-max-length": 2, "x-overflow": "reject-publish"})
    refused = await run("export", "--to-queue", "small", "--amqp", amqp, "--why", "x")
    assert (refused.exit_code, refused.output.count("\n")) == (2, 1), refused.output
    assert "queue small took 2 messages and no more" in refused.output
    assert (await channel.queue_declare("small", passive=True)).message_count == 2
    assert [each["outcomes"] for each in await json_of("history")] == [{"exported": 2, "left": 1}]
    await connection.close()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("show", "--id", "nonsense"), "neither like billing/17 nor an event's id"),
        (("show", "--id", str(uuid7())), "no failed message is like that"),
        (("try", "--id", "desk/99"), "no failed message is like that"),
        (("replay", "--id", "desk/99", "--why", "x"), "no failed message is like that"),
        (("replay",), "Missing option '--why'"),
        (("discard", "--why", " "), "say why"),
        (("history", "--action", str(uuid7())), "there is no action"),
        (("resume", str(uuid7())), "there is no action"),
        (("list", "--since", "yesterday"), "neither a moment like"),
        (("list", "--after", str(uuid7())), "say which service"),
        (("export", "--why", "x"), "say either --out FILE or --to-queue NAME"),
        (("edit", "--id", "cellar/1", "--why", "x", "--set", "a=1"), "there is no service cellar"),
        (("list", "--state", "tired"), "'tired' is not one of"),
        (("list", "--flow", "x"), "not a valid UUID"),
        (("list", "--limit", "0"), "not in the range"),
        (("list", "--id", "cellar/1", "--service", "cellar"), "there is no service cellar"),
        (("drain",), "RabbitMQ refuses desk"),
        (("import", "--from-queue", "q", "--amqp", "rabbit", "--why", "x"), "--amqp is no address of RabbitMQ"),
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
